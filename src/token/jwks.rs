//! JWK sets, filtered before anything is verified with them.
