//! What can an agent do in the world?
