//! What can an agent look up?
