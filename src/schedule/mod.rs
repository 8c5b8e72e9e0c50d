//! What should happen next?
