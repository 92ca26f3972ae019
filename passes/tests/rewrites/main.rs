//! Rewrites and the passes made of them: their documentation runs, their cases give the snapshots, and the numbers stay.

mod cases;
mod common;
mod documentation;
mod manager;
