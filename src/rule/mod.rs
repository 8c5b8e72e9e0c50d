//! What do the scripts say?
