// STAC Browser would offer to open assets and links on other people's sites; a lab's data stay in the lab.
export default {};
