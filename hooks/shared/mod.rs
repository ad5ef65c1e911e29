//! What several hooks need: their common bindings, and the facts about ourselves.

pub(crate) mod bindings;
pub(crate) mod facts;
pub(crate) mod federations;
pub(crate) mod keypair;
pub(crate) mod objects;
pub(crate) mod own_chain;
