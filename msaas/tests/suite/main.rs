//! The program from outside: the real binary with small seeded networks.

mod alignment;
mod bad_input;
mod choice;
mod client;
mod compare;
mod crowd;
mod documents;
mod editor;
mod events;
mod gain;
mod grpc;
mod memory;
mod network;
mod odd_input;
mod outage;
mod piping;
mod refusals;
mod repeatability;
mod service;
mod sound;
mod support;
mod tagging;
