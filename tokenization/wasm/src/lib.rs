//! The crate `tokenizers` behind a thin C ABI, for `wasm32-unknown-unknown`, without any import.
//!
//! Conventions of the ABI, which `tokenization/engine.ts` is the only caller of:
//! - strings and arrays go in as pointer and length, in memory from `memory_alloc`;
//! - a function that can fail returns a negative number and leaves its message in the error buffer;
//! - anything larger than a number comes back in the result buffer, valid until the next call;
//! - handles are pointers to boxed values, freed by the `*_free` function of their kind;
//! - a panic is a trap: its message is in the error buffer, and the instance must be thrown away.

mod abi;
mod component;
mod encode;
mod ids;
mod pack;
mod patterns;
mod random;
mod tokenizer;
mod train;
mod unicode;
mod whole_model;

/// Tokenizing is allocating: Rust's own allocator for this target takes a third of the time.
#[cfg(all(target_family = "wasm", not(target_feature = "atomics")))]
#[global_allocator]
static ALLOCATOR: talc::wasm::WasmDynamicTalc = talc::wasm::new_wasm_dynamic_allocator();
