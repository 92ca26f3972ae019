//! Octet: a quantizing compiler for edge machine learning.
