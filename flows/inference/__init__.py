"""What the predict flow drives: windows, the engine, blending and outputs."""
