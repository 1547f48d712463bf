#!/usr/bin/env bash
# Build STAC Browser from npm, as infra/browser pins it, and put it where the web process serves it from:
# TERRALAB_WEB_BROWSER_FOLDER, else `browser` in the lab's home folder. Quick when nothing changed.
set -euo pipefail
cd "$(dirname "$0")/../.."

sources=infra/browser
built=build/stac-browser
target=${TERRALAB_WEB_BROWSER_FOLDER:-${TERRALAB_HOME:-$HOME/.terralab}/browser}
want=$(find "$sources" infra/setup/stac_browser.sh -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)

is_built() { [ -f "$1/index.html" ] && [ "$(cat "$1/.built-from" 2>/dev/null)" = "$want" ]; }

need_node() {
    local found=none
    command -v node >/dev/null && found=$(node --version)
    if ! command -v npm >/dev/null || ! node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null; then
        cat >&2 <<TEXT
browser: Node.js 20 or newer with npm is needed to build STAC Browser; found: $found.
         Debian 13, Ubuntu 26.04:  sudo apt-get install nodejs npm
         other systems:            install Node.js from your distribution or nodejs.org
         The lab itself works without it; only /browser stays empty.
TEXT
        exit 1
    fi
}

build() {
    need_node
    mkdir -p build
    # On the disk of the result, so that it becomes visible by a rename.
    work=$(mktemp -d build/stac-browser.XXXXXX)
    trap 'rm -rf "$work"' EXIT
    cp "$sources/package.json" "$sources/package-lock.json" "$sources/.npmrc" "$work/"
    echo "browser: fetching the pinned packages (400 MB, removed afterwards)"
    (cd "$work" && npm ci --loglevel=error)
    arrange
    echo "browser: building"
    (cd "$work" && npm run --silent build >build.log 2>&1) || { tail -n 40 "$work/build.log" >&2; exit 1; }
    cp "$work/node_modules/@radiantearth/stac-browser/LICENSE" "$work/dist/"
    echo "$want" >"$work/dist/.built-from"
    rm -rf "$built"
    mv "$work/dist" "$built"
}

# Lay STAC Browser's source out as its build expects it, with our files in place of some of its own.
arrange() {
    local upstream=$work/node_modules/@radiantearth/stac-browser
    cp -R "$upstream"/{babel.config.js,config.schema.json,public,src,vue.config.js} "$work/"
    cp "$upstream/config.js" "$work/defaults.config.js"
    cp "$sources"/{config,basemaps.config,fields.config}.js "$work/"
    cp "$sources/actions.config.js" "$work/assetActions.config.js"
    cp "$sources/actions.config.js" "$work/linkActions.config.js"
    cp "$sources/Validation.vue" "$work/src/components/Validation.vue"
    # The page of a validation report; nothing leads to it any more.
    cp "$sources/Validation.vue" "$work/src/views/Validation.vue"
}

is_built "$built" || build
if ! is_built "$target"; then
    mkdir -p "$(dirname "$target")"
    rm -rf "$target.new" "$target.old"
    cp -R "$built" "$target.new"
    [ -e "$target" ] && mv "$target" "$target.old"
    mv "$target.new" "$target"
    rm -rf "$target.old"
fi
echo "browser: STAC Browser is in $target; the web process serves it at /browser"
