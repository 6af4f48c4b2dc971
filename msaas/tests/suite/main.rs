//! The program from outside: the real binary with small seeded networks.

mod alignment;
mod bad_input;
mod choice;
mod compare;
mod events;
mod gain;
mod memory;
mod network;
mod odd_input;
mod piping;
mod repeatability;
mod sound;
mod support;
mod tagging;
