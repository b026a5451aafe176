//! Many purchases, looked up in one walk.
