//! Moves a whole datastore.
