//! What a commit would do, in words.
