//! A filesystem tree in memory.
