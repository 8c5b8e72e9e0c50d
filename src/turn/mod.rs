//! What does one agent do next?
