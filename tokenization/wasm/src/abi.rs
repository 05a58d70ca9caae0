//! Memory, results and errors: what every exported function needs.

use std::cell::RefCell;

pub type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

thread_local! {
    static RESULT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Must be called once, before anything else: seeds the hash maps and keeps the messages of panics.
#[no_mangle]
pub extern "C" fn init(seed_low: u32, seed_high: u32) {
    crate::random::seed((u64::from(seed_high) << 32) | u64::from(seed_low));
    tokenizers::utils::parallelism::set_parallelism(false);
    std::panic::set_hook(Box::new(|info| set_error(info.to_string())));
}

/// Memory for `len` bytes, aligned for u32.
#[no_mangle]
pub extern "C" fn memory_alloc(len: usize) -> *mut u8 {
    let mut words = Vec::<u32>::with_capacity(words_of(len));
    let pointer = words.as_mut_ptr();
    std::mem::forget(words);
    pointer.cast()
}

/// # Safety
/// `pointer` and `len` are those of one `memory_alloc`.
#[no_mangle]
pub unsafe extern "C" fn memory_free(pointer: *mut u8, len: usize) {
    drop(Vec::<u32>::from_raw_parts(pointer.cast(), 0, words_of(len)));
}

fn words_of(bytes: usize) -> usize {
    bytes.div_ceil(4).max(1)
}

#[no_mangle]
pub extern "C" fn result_pointer() -> *const u8 {
    RESULT.with(|r| r.borrow().as_ptr())
}

#[no_mangle]
pub extern "C" fn result_length() -> usize {
    RESULT.with(|r| r.borrow().len())
}

#[no_mangle]
pub extern "C" fn error_pointer() -> *const u8 {
    ERROR.with(|e| e.borrow().as_ptr())
}

#[no_mangle]
pub extern "C" fn error_length() -> usize {
    ERROR.with(|e| e.borrow().len())
}

pub fn set_error(message: String) {
    ERROR.with(|e| *e.borrow_mut() = message);
}

/// Hands `bytes` to the caller; the return value of a successful call.
pub fn give(bytes: Vec<u8>) -> i32 {
    RESULT.with(|r| *r.borrow_mut() = bytes);
    0
}

/// The result buffer, emptied: its capacity serves call after call.
pub fn take_result_buffer() -> Vec<u8> {
    let mut buffer = RESULT.with(|r| std::mem::take(&mut *r.borrow_mut()));
    buffer.clear();
    buffer
}

/// Runs `f`; an error becomes -1 and a message.
pub fn guard(f: impl FnOnce() -> Fallible<i32>) -> i32 {
    f().unwrap_or_else(|error| {
        set_error(error.to_string());
        -1
    })
}

/// A handle to what `f` makes, or a null pointer and a message.
pub fn make<T>(f: impl FnOnce() -> Fallible<T>) -> *mut T {
    match f() {
        Ok(value) => Box::into_raw(Box::new(value)),
        Err(error) => {
            set_error(error.to_string());
            std::ptr::null_mut()
        }
    }
}

/// # Safety
/// `pointer` and `len` describe live memory that holds UTF-8; JavaScript's TextEncoder writes nothing else.
pub unsafe fn text<'a>(pointer: *const u8, len: usize) -> &'a str {
    std::str::from_utf8_unchecked(std::slice::from_raw_parts(pointer, len))
}
