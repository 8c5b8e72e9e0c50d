//! Where do we stand?
