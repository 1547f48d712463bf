# Sourced by the other scripts: install Debian packages where this user may.

# apt_install PACKAGE…: returns 1, silently, where there is no apt or no right to use it.
apt_install() {
    command -v apt-get >/dev/null || return 1
    local run=()
    if [ "$(id -u)" -ne 0 ]; then
        sudo -n true 2>/dev/null || return 1
        run=(sudo -n)
    fi
    echo "setup: apt-get install $*"
    "${run[@]}" apt-get update -qq || return 1
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
