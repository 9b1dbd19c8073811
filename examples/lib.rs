//! Shared by no one: the examples beside this file stand alone.
