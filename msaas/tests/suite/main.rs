//! The program from outside: the real binary with small seeded networks.

mod alignment;
mod bad_input;
mod memory;
mod network;
mod odd_input;
mod repeatability;
mod sound;
mod support;
mod tagging;
