//! What can be typed?
