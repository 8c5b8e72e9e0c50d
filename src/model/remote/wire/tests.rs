//! Do requests and replies have the shape that each kind wants?
