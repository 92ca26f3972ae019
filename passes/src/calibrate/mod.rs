//! Range calibration: runs the model on sample data and notes the range of every value.
