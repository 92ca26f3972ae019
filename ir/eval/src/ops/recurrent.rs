//! Recurrent layers.

use octet_ir::ops::{
    BidirectionalSequenceLstm, BidirectionalSequenceRnn, Lstm, Rnn, Svdf, UnidirectionalSequenceLstm, UnidirectionalSequenceRnn,
};

use crate::kernel::{PrepareCx, Prepared};

pub(super) fn svdf(_op: &Svdf, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn unidirectional_sequence_lstm(_op: &UnidirectionalSequenceLstm, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn bidirectional_sequence_lstm(_op: &BidirectionalSequenceLstm, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn lstm(_op: &Lstm, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn rnn(_op: &Rnn, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn unidirectional_sequence_rnn(_op: &UnidirectionalSequenceRnn, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}

pub(super) fn bidirectional_sequence_rnn(_op: &BidirectionalSequenceRnn, cx: &PrepareCx<'_>) -> Prepared {
    Err(cx.unsupported())
}
