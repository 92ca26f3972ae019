//! Operators: from a builtin code and its options to a typed operation of the IR.
//!
//! What the IR does not model becomes [`Opaque`] here, its options packed as a stand-alone `Operator` table (with nothing else in it) that
//! the writer unpacks again. Nothing here looks at tensors.

use octet_ir::Op;
use octet_ir::ops::{
    Activation, Arg, ArgKind, AssignVariable, BatchMatmul, BatchToSpaceNd, BidirectionalSequenceLstm, BidirectionalSequenceRnn, Binary,
    BinaryKind, Bitcast, BroadcastArgs, BroadcastTo, CallOnce, Cast, Compare, CompareKind, Concatenation, Conv2d, Conv3d, Conv3dTranspose,
    Cumsum, Densify, DepthToSpace, DepthwiseConv2d, Dequantize, DynamicUpdateSlice, EmbeddingLookup, ExpandDims, FakeQuant, Fill,
    FullyConnected, Gather, GatherNd, Gelu, If, L2Normalization, LeakyRelu, LocalResponseNormalization, LogSoftmax, Lstm, LstmKernel,
    MatrixDiag, MatrixSetDiag, MirrorMode, MirrorPad, OneHot, Opaque, Pack, Pad, PadV2, Padding, Pool2d, PoolKind, Prelu, Quantize,
    RangeOp, Rank, ReadVariable, Reduce, ReduceKind, Reshape, ResizeBilinear, ResizeNearestNeighbor, ReverseSequence, ReverseV2, Rnn,
    ScatterNd, SegmentSum, Select, SelectKind, ShapeOf, Slice, Softmax, SpaceToBatchNd, SpaceToDepth, SparseToDense, Split, SplitV,
    Squeeze, StridedSlice, Svdf, Tile, TopkV2, Transpose, TransposeConv, Unary, UnaryKind, UnidirectionalSequenceLstm,
    UnidirectionalSequenceRnn, Unique, Unpack, UnsortedSegment, UnsortedSegmentKind, VarHandle, WeightsFormat, Where, While,
};
use octet_ir::{Blob, ElementType};
use octet_tflite_schema as fb;
use octet_tflite_schema::BuiltinOperator as Code;

use crate::tensors::element_type;

/// The options of an operator as an owned struct; none at all reads as the schema's defaults.
macro_rules! options {
    ($op:expr, $accessor:ident) => {
        match $op.$accessor() {
            Some(table) => table.unpack(),
            None if $op.builtin_options_type() == fb::BuiltinOptions::NONE => Default::default(),
            None => return Err(format!("the options are of another operator's kind ({:?})", $op.builtin_options_type())),
        }
    };
}

/// The operation that this operator is; the error says what is wrong with its options.
pub(crate) fn read(code: Code, version: i32, op: fb::Operator<'_>) -> Result<Op, String> {
    if let Some(kind) = unary(code) {
        return Ok(Unary::new(kind).into());
    }
    if let Some(op) = binary(code, op)? {
        return Ok(op.into());
    }
    if let Some(kind) = compare(code) {
        return Ok(Compare { kind }.into());
    }
    if let Some(kind) = reduce(code) {
        let o = options!(op, builtin_options_as_reducer_options);
        return Ok(Reduce { kind, keep_dims: o.keep_dims }.into());
    }
    if let Some(kind) = pool(code) {
        let o = options!(op, builtin_options_as_pool_2_doptions);
        return Ok(Pool2d {
            kind,
            padding: padding(o.padding)?,
            stride: pair("stride", o.stride_h, o.stride_w)?,
            filter: pair("filter size", o.filter_height, o.filter_width)?,
            activation: activation(o.fused_activation_function)?,
        }
        .into());
    }
    if let Some(op) = layers(code, op)? {
        return Ok(op);
    }
    if let Some(op) = recurrent(code, op)? {
        return Ok(op);
    }
    if let Some(op) = movement(code, op)? {
        return Ok(op);
    }
    if let Some(op) = control(code, op)? {
        return Ok(op);
    }
    opaque(code, version, op).map(Op::from)
}

fn unary(code: Code) -> Option<UnaryKind> {
    Some(match code {
        Code::ABS => UnaryKind::Abs,
        Code::CEIL => UnaryKind::Ceil,
        Code::COS => UnaryKind::Cos,
        Code::ELU => UnaryKind::Elu,
        Code::EXP => UnaryKind::Exp,
        Code::FLOOR => UnaryKind::Floor,
        Code::HARD_SWISH => UnaryKind::HardSwish,
        Code::LOG => UnaryKind::Log,
        Code::LOGICAL_NOT => UnaryKind::LogicalNot,
        Code::LOGISTIC => UnaryKind::Logistic,
        Code::NEG => UnaryKind::Neg,
        Code::RELU => UnaryKind::Relu,
        Code::RELU6 => UnaryKind::Relu6,
        Code::RELU_N1_TO_1 => UnaryKind::ReluN1To1,
        Code::RELU_0_TO_1 => UnaryKind::Relu0To1,
        Code::ROUND => UnaryKind::Round,
        Code::RSQRT => UnaryKind::Rsqrt,
        Code::SIGN => UnaryKind::Sign,
        Code::SIN => UnaryKind::Sin,
        Code::SQRT => UnaryKind::Sqrt,
        Code::SQUARE => UnaryKind::Square,
        Code::TANH => UnaryKind::Tanh,
        Code::ZEROS_LIKE => UnaryKind::ZerosLike,
        _ => return None,
    })
}

fn binary(code: Code, op: fb::Operator<'_>) -> Result<Option<Binary>, String> {
    let kind = match code {
        Code::ADD => BinaryKind::Add,
        Code::SUB => BinaryKind::Sub,
        Code::MUL => BinaryKind::Mul,
        Code::DIV => BinaryKind::Div,
        Code::FLOOR_DIV => BinaryKind::FloorDiv,
        Code::FLOOR_MOD => BinaryKind::FloorMod,
        Code::MAXIMUM => BinaryKind::Maximum,
        Code::MINIMUM => BinaryKind::Minimum,
        Code::POW => BinaryKind::Pow,
        Code::SQUARED_DIFFERENCE => BinaryKind::SquaredDifference,
        Code::ATAN2 => BinaryKind::Atan2,
        Code::LOGICAL_AND => BinaryKind::LogicalAnd,
        Code::LOGICAL_OR => BinaryKind::LogicalOr,
        Code::BITWISE_XOR => BinaryKind::BitwiseXor,
        Code::RIGHT_SHIFT => BinaryKind::RightShift,
        _ => return Ok(None),
    };
    let mut result = Binary::new(kind);
    // Runtimes read ADD and SUB without options as new ones, although the field's default says legacy.
    let absent = op.builtin_options_type() == fb::BuiltinOptions::NONE;
    match kind {
        BinaryKind::Add => {
            let o = options!(op, builtin_options_as_add_options);
            result.activation = activation(o.fused_activation_function)?;
            result.pot_scale_int16 = o.pot_scale_int16 && !absent;
        }
        BinaryKind::Sub => {
            let o = options!(op, builtin_options_as_sub_options);
            result.activation = activation(o.fused_activation_function)?;
            result.pot_scale_int16 = o.pot_scale_int16 && !absent;
        }
        BinaryKind::Mul => {
            let o = options!(op, builtin_options_as_mul_options);
            result.activation = activation(o.fused_activation_function)?;
        }
        BinaryKind::Div => {
            let o = options!(op, builtin_options_as_div_options);
            result.activation = activation(o.fused_activation_function)?;
        }
        BinaryKind::FloorDiv
        | BinaryKind::FloorMod
        | BinaryKind::Maximum
        | BinaryKind::Minimum
        | BinaryKind::Pow
        | BinaryKind::SquaredDifference
        | BinaryKind::Atan2
        | BinaryKind::LogicalAnd
        | BinaryKind::LogicalOr
        | BinaryKind::BitwiseXor
        | BinaryKind::RightShift => {}
    }
    Ok(Some(result))
}

fn compare(code: Code) -> Option<CompareKind> {
    Some(match code {
        Code::EQUAL => CompareKind::Equal,
        Code::NOT_EQUAL => CompareKind::NotEqual,
        Code::GREATER => CompareKind::Greater,
        Code::GREATER_EQUAL => CompareKind::GreaterEqual,
        Code::LESS => CompareKind::Less,
        Code::LESS_EQUAL => CompareKind::LessEqual,
        _ => return None,
    })
}

fn reduce(code: Code) -> Option<ReduceKind> {
    Some(match code {
        Code::MEAN => ReduceKind::Mean,
        Code::SUM => ReduceKind::Sum,
        Code::REDUCE_MAX => ReduceKind::Max,
        Code::REDUCE_MIN => ReduceKind::Min,
        Code::REDUCE_PROD => ReduceKind::Prod,
        Code::REDUCE_ANY => ReduceKind::Any,
        Code::REDUCE_ALL => ReduceKind::All,
        _ => return None,
    })
}

fn pool(code: Code) -> Option<PoolKind> {
    Some(match code {
        Code::AVERAGE_POOL_2D => PoolKind::Average,
        Code::MAX_POOL_2D => PoolKind::Max,
        Code::L2_POOL_2D => PoolKind::L2,
        _ => return None,
    })
}

/// Convolutions, matrix products, normalisation, quantization: operations that compute.
fn layers(code: Code, op: fb::Operator<'_>) -> Result<Option<Op>, String> {
    Ok(Some(match code {
        Code::CONV_2D => {
            let o = options!(op, builtin_options_as_conv_2_doptions);
            Conv2d {
                padding: padding(o.padding)?,
                stride: pair("stride", o.stride_h, o.stride_w)?,
                dilation: pair("dilation", o.dilation_h_factor, o.dilation_w_factor)?,
                activation: activation(o.fused_activation_function)?,
                quantized_bias_type: bias_type(o.quantized_bias_type)?,
            }
            .into()
        }
        Code::DEPTHWISE_CONV_2D => {
            let o = options!(op, builtin_options_as_depthwise_conv_2_doptions);
            DepthwiseConv2d {
                padding: padding(o.padding)?,
                stride: pair("stride", o.stride_h, o.stride_w)?,
                dilation: pair("dilation", o.dilation_h_factor, o.dilation_w_factor)?,
                depth_multiplier: size("depth multiplier", o.depth_multiplier)?,
                activation: activation(o.fused_activation_function)?,
            }
            .into()
        }
        Code::TRANSPOSE_CONV => {
            let o = options!(op, builtin_options_as_transpose_conv_options);
            TransposeConv {
                padding: padding(o.padding)?,
                stride: pair("stride", o.stride_h, o.stride_w)?,
                activation: activation(o.fused_activation_function)?,
                quantized_bias_type: bias_type(o.quantized_bias_type)?,
            }
            .into()
        }
        Code::CONV_3D | Code::CONV_3D_TRANSPOSE => {
            let o = options!(op, builtin_options_as_conv_3_doptions);
            let padding = padding(o.padding)?;
            let stride = triple("stride", o.stride_d, o.stride_h, o.stride_w)?;
            let dilation = triple("dilation", o.dilation_d_factor, o.dilation_h_factor, o.dilation_w_factor)?;
            let activation = activation(o.fused_activation_function)?;
            if code == Code::CONV_3D {
                Conv3d { padding, stride, dilation, activation }.into()
            } else {
                Conv3dTranspose { padding, stride, dilation, activation }.into()
            }
        }
        Code::FULLY_CONNECTED => {
            let o = options!(op, builtin_options_as_fully_connected_options);
            // A specification of the weights' quantization that only its writer understands: the operator travels as it is.
            if o.quant_spec.is_some() {
                return Ok(None);
            }
            FullyConnected {
                activation: activation(o.fused_activation_function)?,
                weights_format: match o.weights_format {
                    fb::FullyConnectedOptionsWeightsFormat::DEFAULT => WeightsFormat::Default,
                    fb::FullyConnectedOptionsWeightsFormat::SHUFFLED4x16INT8 => WeightsFormat::Shuffled4x16Int8,
                    other => return Err(format!("weights format {} is unknown", other.0)),
                },
                keep_num_dims: o.keep_num_dims,
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
                quantized_bias_type: bias_type(o.quantized_bias_type)?,
            }
            .into()
        }
        Code::BATCH_MATMUL => {
            let o = options!(op, builtin_options_as_batch_mat_mul_options);
            BatchMatmul { adj_x: o.adj_x, adj_y: o.adj_y, asymmetric_quantize_inputs: o.asymmetric_quantize_inputs }.into()
        }
        Code::EMBEDDING_LOOKUP => EmbeddingLookup::default().into(),
        Code::SOFTMAX => Softmax { beta: options!(op, builtin_options_as_softmax_options).beta }.into(),
        Code::LOG_SOFTMAX => LogSoftmax::default().into(),
        Code::L2_NORMALIZATION => {
            let o = options!(op, builtin_options_as_l2_norm_options);
            L2Normalization { activation: activation(o.fused_activation_function)? }.into()
        }
        Code::LOCAL_RESPONSE_NORMALIZATION => {
            let o = options!(op, builtin_options_as_local_response_normalization_options);
            LocalResponseNormalization { radius: o.radius, bias: o.bias, alpha: o.alpha, beta: o.beta }.into()
        }
        Code::GELU => Gelu { approximate: options!(op, builtin_options_as_gelu_options).approximate }.into(),
        Code::LEAKY_RELU => LeakyRelu { alpha: options!(op, builtin_options_as_leaky_relu_options).alpha }.into(),
        Code::PRELU => Prelu::default().into(),
        Code::SELECT => Select { kind: SelectKind::Select }.into(),
        Code::SELECT_V2 => Select { kind: SelectKind::SelectV2 }.into(),
        Code::CAST => match op.builtin_options_type() {
            fb::BuiltinOptions::NONE => Cast::default().into(),
            _ => {
                let o = options!(op, builtin_options_as_cast_options);
                Cast { in_type: Some(cast_type(o.in_data_type)?), out_type: Some(cast_type(o.out_data_type)?) }.into()
            }
        },
        Code::BITCAST => Bitcast::default().into(),
        Code::ARG_MAX => {
            let o = options!(op, builtin_options_as_arg_max_options);
            Arg { kind: ArgKind::Max, output_type: index_type(o.output_type)? }.into()
        }
        Code::ARG_MIN => {
            let o = options!(op, builtin_options_as_arg_min_options);
            Arg { kind: ArgKind::Min, output_type: index_type(o.output_type)? }.into()
        }
        Code::CUMSUM => {
            let o = options!(op, builtin_options_as_cumsum_options);
            Cumsum { exclusive: o.exclusive, reverse: o.reverse }.into()
        }
        Code::TOPK_V2 => TopkV2::default().into(),
        Code::UNIQUE => Unique { idx_out_type: index_type(options!(op, builtin_options_as_unique_options).idx_out_type)? }.into(),
        Code::SEGMENT_SUM => SegmentSum::default().into(),
        Code::UNSORTED_SEGMENT_SUM => UnsortedSegment { kind: UnsortedSegmentKind::Sum }.into(),
        Code::UNSORTED_SEGMENT_PROD => UnsortedSegment { kind: UnsortedSegmentKind::Prod }.into(),
        Code::UNSORTED_SEGMENT_MAX => UnsortedSegment { kind: UnsortedSegmentKind::Max }.into(),
        Code::UNSORTED_SEGMENT_MIN => UnsortedSegment { kind: UnsortedSegmentKind::Min }.into(),
        Code::QUANTIZE => Quantize::default().into(),
        Code::DEQUANTIZE => Dequantize::default().into(),
        Code::DENSIFY => Densify::default().into(),
        Code::FAKE_QUANT => {
            let o = options!(op, builtin_options_as_fake_quant_options);
            let num_bits = u32::try_from(o.num_bits).map_err(|_| format!("{} bits", o.num_bits))?;
            FakeQuant { min: o.min, max: o.max, num_bits, narrow_range: o.narrow_range }.into()
        }
        _ => return Ok(None),
    }))
}

fn recurrent(code: Code, op: fb::Operator<'_>) -> Result<Option<Op>, String> {
    Ok(Some(match code {
        Code::SVDF => {
            let o = options!(op, builtin_options_as_svdfoptions);
            Svdf {
                rank: size("rank", o.rank)?,
                activation: activation(o.fused_activation_function)?,
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
            .into()
        }
        Code::LSTM => {
            let o = options!(op, builtin_options_as_lstmoptions);
            Lstm {
                activation: activation(o.fused_activation_function)?,
                cell_clip: o.cell_clip,
                proj_clip: o.proj_clip,
                kernel_type: match o.kernel_type {
                    fb::LSTMKernelType::FULL => LstmKernel::Full,
                    fb::LSTMKernelType::BASIC => LstmKernel::Basic,
                    other => return Err(format!("LSTM kernel {} is unknown", other.0)),
                },
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
            .into()
        }
        Code::UNIDIRECTIONAL_SEQUENCE_LSTM => {
            let o = options!(op, builtin_options_as_unidirectional_sequence_lstmoptions);
            UnidirectionalSequenceLstm {
                activation: activation(o.fused_activation_function)?,
                cell_clip: o.cell_clip,
                proj_clip: o.proj_clip,
                time_major: o.time_major,
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
                diagonal_recurrent_tensors: o.diagonal_recurrent_tensors,
            }
            .into()
        }
        Code::BIDIRECTIONAL_SEQUENCE_LSTM => {
            let o = options!(op, builtin_options_as_bidirectional_sequence_lstmoptions);
            BidirectionalSequenceLstm {
                activation: activation(o.fused_activation_function)?,
                cell_clip: o.cell_clip,
                proj_clip: o.proj_clip,
                merge_outputs: o.merge_outputs,
                time_major: o.time_major,
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
            .into()
        }
        Code::RNN => {
            let o = options!(op, builtin_options_as_rnnoptions);
            Rnn { activation: activation(o.fused_activation_function)?, asymmetric_quantize_inputs: o.asymmetric_quantize_inputs }.into()
        }
        Code::UNIDIRECTIONAL_SEQUENCE_RNN => {
            let o = options!(op, builtin_options_as_sequence_rnnoptions);
            UnidirectionalSequenceRnn {
                time_major: o.time_major,
                activation: activation(o.fused_activation_function)?,
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
            .into()
        }
        Code::BIDIRECTIONAL_SEQUENCE_RNN => {
            let o = options!(op, builtin_options_as_bidirectional_sequence_rnnoptions);
            BidirectionalSequenceRnn {
                time_major: o.time_major,
                activation: activation(o.fused_activation_function)?,
                merge_outputs: o.merge_outputs,
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
            .into()
        }
        _ => return Ok(None),
    }))
}

/// Operations that move, join, cut, create or reshape.
fn movement(code: Code, op: fb::Operator<'_>) -> Result<Option<Op>, String> {
    Ok(Some(match code {
        Code::RESHAPE => Reshape { new_shape: options!(op, builtin_options_as_reshape_options).new_shape }.into(),
        Code::SQUEEZE => Squeeze { dims: options!(op, builtin_options_as_squeeze_options).squeeze_dims.unwrap_or_default() }.into(),
        Code::EXPAND_DIMS => ExpandDims::default().into(),
        Code::TRANSPOSE => Transpose::default().into(),
        Code::SHAPE => ShapeOf { out_type: index_type(options!(op, builtin_options_as_shape_options).out_type)? }.into(),
        Code::RANK => Rank::default().into(),
        Code::BROADCAST_TO => BroadcastTo::default().into(),
        Code::BROADCAST_ARGS => BroadcastArgs::default().into(),
        Code::MATRIX_DIAG => MatrixDiag::default().into(),
        Code::MATRIX_SET_DIAG => MatrixSetDiag::default().into(),
        Code::SLICE => Slice::default().into(),
        Code::STRIDED_SLICE => {
            let o = options!(op, builtin_options_as_strided_slice_options);
            StridedSlice {
                begin_mask: mask(o.begin_mask)?,
                end_mask: mask(o.end_mask)?,
                ellipsis_mask: mask(o.ellipsis_mask)?,
                new_axis_mask: mask(o.new_axis_mask)?,
                shrink_axis_mask: mask(o.shrink_axis_mask)?,
                offset: o.offset,
            }
            .into()
        }
        Code::SPLIT => Split { num_splits: size("number of parts", options!(op, builtin_options_as_split_options).num_splits)? }.into(),
        Code::SPLIT_V => SplitV { num_splits: size("number of parts", options!(op, builtin_options_as_split_voptions).num_splits)? }.into(),
        Code::DYNAMIC_UPDATE_SLICE => DynamicUpdateSlice::default().into(),
        Code::REVERSE_V2 => ReverseV2::default().into(),
        Code::REVERSE_SEQUENCE => {
            let o = options!(op, builtin_options_as_reverse_sequence_options);
            ReverseSequence { seq_dim: o.seq_dim, batch_dim: o.batch_dim }.into()
        }
        Code::TILE => Tile::default().into(),
        Code::CONCATENATION => {
            let o = options!(op, builtin_options_as_concatenation_options);
            Concatenation { axis: o.axis, activation: activation(o.fused_activation_function)? }.into()
        }
        Code::PACK => {
            let o = options!(op, builtin_options_as_pack_options);
            Pack { values_count: size("number of values", o.values_count)?, axis: o.axis }.into()
        }
        Code::UNPACK => {
            let o = options!(op, builtin_options_as_unpack_options);
            Unpack { num: size("number of values", o.num)?, axis: o.axis }.into()
        }
        Code::PAD => Pad::default().into(),
        Code::PADV2 => PadV2::default().into(),
        Code::MIRROR_PAD => MirrorPad {
            mode: match options!(op, builtin_options_as_mirror_pad_options).mode {
                fb::MirrorPadMode::REFLECT => MirrorMode::Reflect,
                fb::MirrorPadMode::SYMMETRIC => MirrorMode::Symmetric,
                other => return Err(format!("mirror mode {} is unknown", other.0)),
            },
        }
        .into(),
        Code::GATHER => {
            let o = options!(op, builtin_options_as_gather_options);
            Gather { axis: o.axis, batch_dims: o.batch_dims }.into()
        }
        Code::GATHER_ND => GatherNd::default().into(),
        Code::SCATTER_ND => ScatterNd::default().into(),
        Code::SPACE_TO_DEPTH => {
            SpaceToDepth { block_size: size("block size", options!(op, builtin_options_as_space_to_depth_options).block_size)? }.into()
        }
        Code::DEPTH_TO_SPACE => {
            DepthToSpace { block_size: size("block size", options!(op, builtin_options_as_depth_to_space_options).block_size)? }.into()
        }
        Code::SPACE_TO_BATCH_ND => SpaceToBatchNd::default().into(),
        Code::BATCH_TO_SPACE_ND => BatchToSpaceNd::default().into(),
        Code::RESIZE_BILINEAR => {
            let o = options!(op, builtin_options_as_resize_bilinear_options);
            ResizeBilinear { align_corners: o.align_corners, half_pixel_centers: o.half_pixel_centers }.into()
        }
        Code::RESIZE_NEAREST_NEIGHBOR => {
            let o = options!(op, builtin_options_as_resize_nearest_neighbor_options);
            ResizeNearestNeighbor { align_corners: o.align_corners, half_pixel_centers: o.half_pixel_centers }.into()
        }
        Code::FILL => Fill::default().into(),
        Code::RANGE => RangeOp::default().into(),
        Code::ONE_HOT => OneHot { axis: options!(op, builtin_options_as_one_hot_options).axis }.into(),
        Code::WHERE => Where::default().into(),
        Code::SPARSE_TO_DENSE => {
            SparseToDense { validate_indices: options!(op, builtin_options_as_sparse_to_dense_options).validate_indices }.into()
        }
        _ => return Ok(None),
    }))
}

fn control(code: Code, op: fb::Operator<'_>) -> Result<Option<Op>, String> {
    Ok(Some(match code {
        Code::IF => {
            let o = options!(op, builtin_options_as_if_options);
            If { then_graph: graph(o.then_subgraph_index)?, else_graph: graph(o.else_subgraph_index)? }.into()
        }
        Code::WHILE => {
            let o = options!(op, builtin_options_as_while_options);
            While { cond_graph: graph(o.cond_subgraph_index)?, body_graph: graph(o.body_subgraph_index)? }.into()
        }
        Code::CALL_ONCE => CallOnce { init_graph: graph(options!(op, builtin_options_as_call_once_options).init_subgraph_index)? }.into(),
        Code::VAR_HANDLE => {
            let o = options!(op, builtin_options_as_var_handle_options);
            VarHandle { container: o.container.unwrap_or_default(), shared_name: o.shared_name.unwrap_or_default() }.into()
        }
        Code::READ_VARIABLE => ReadVariable::default().into(),
        Code::ASSIGN_VARIABLE => AssignVariable::default().into(),
        _ => return Ok(None),
    }))
}

/// An operator that the IR does not model, with everything but tensors and code packed as it is.
fn opaque(code: Code, version: i32, op: fb::Operator<'_>) -> Result<Opaque, String> {
    let mut table = op.unpack();
    // These have a place of their own in the IR.
    (table.opcode_index, table.inputs, table.outputs, table.intermediates) = (0, None, None, None);
    let graphs = called_graphs(&table)?;
    let options = if table == fb::OperatorT::default() {
        Blob::default()
    } else {
        let mut builder = flatbuffers::FlatBufferBuilder::new();
        let root = table.pack(&mut builder);
        builder.finish_minimal(root);
        Blob(builder.finished_data().to_vec().into())
    };
    let name = code.variant_name().unwrap_or("UNKNOWN").to_owned();
    Ok(Opaque { name, builtin_code: code.0, version, options, graphs })
}

/// Graphs that the options of an unmodelled operator name.
fn called_graphs(table: &fb::OperatorT) -> Result<Vec<usize>, String> {
    use fb::{BuiltinOptions2T as Second, BuiltinOptionsT as First};
    let first = match &table.builtin_options {
        First::CallOptions(o) => vec![i64::from(o.subgraph)],
        _ => Vec::new(),
    };
    let second = match &table.builtin_options_2 {
        Second::StablehloReduceOptions(o) => vec![o.body_subgraph_index],
        Second::StablehloReduceWindowOptions(o) => vec![o.body_subgraph_index],
        Second::StablehloScatterOptions(o) => vec![o.update_computation_subgraph_index],
        Second::StablehloSortOptions(o) => vec![o.comparator_subgraph_index],
        Second::StablehloWhileOptions(o) => vec![o.cond_subgraph_index, o.body_subgraph_index],
        Second::StableHLOCompositeOptions(o) => vec![o.decomposition_subgraph_index],
        Second::StablehloCustomCallOptions(o) => o.called_computations.clone().unwrap_or_default(),
        Second::StablehloCaseOptions(o) => o.branch_subgraph_indices.clone().unwrap_or_default(),
        _ => Vec::new(),
    };
    first
        .into_iter()
        .chain(second.into_iter().map(i64::from))
        // -1 stands for no graph.
        .filter(|&index| index != -1)
        .map(|index| usize::try_from(index).map_err(|_| format!("graph {index} does not exist")))
        .collect()
}

fn padding(value: fb::Padding) -> Result<Padding, String> {
    match value {
        fb::Padding::SAME => Ok(Padding::Same),
        fb::Padding::VALID => Ok(Padding::Valid),
        other => Err(format!("padding {} is unknown", other.0)),
    }
}

fn activation(value: fb::ActivationFunctionType) -> Result<Activation, String> {
    Ok(match value {
        fb::ActivationFunctionType::NONE => Activation::None,
        fb::ActivationFunctionType::RELU => Activation::Relu,
        fb::ActivationFunctionType::RELU_N1_TO_1 => Activation::ReluN1To1,
        fb::ActivationFunctionType::RELU6 => Activation::Relu6,
        fb::ActivationFunctionType::TANH => Activation::Tanh,
        fb::ActivationFunctionType::SIGN_BIT => Activation::SignBit,
        other => return Err(format!("fused activation {} is unknown", other.0)),
    })
}

fn cast_type(value: fb::TensorType) -> Result<ElementType, String> {
    element_type(value).ok_or_else(|| format!("element type {} is unknown", value.0))
}

/// The field's default, FLOAT32, stands for a bias type that was not given.
fn bias_type(value: fb::TensorType) -> Result<Option<ElementType>, String> {
    if value == fb::TensorType::FLOAT32 {
        return Ok(None);
    }
    element_type(value).map(Some).ok_or_else(|| format!("bias type {} is unknown", value.0))
}

/// A type of indices. The default of the field, FLOAT32, is what old files have; it means int32.
fn index_type(value: fb::TensorType) -> Result<ElementType, String> {
    match value {
        fb::TensorType::FLOAT32 => Ok(ElementType::I32),
        other => element_type(other).ok_or_else(|| format!("element type {} is unknown", other.0)),
    }
}

fn size(what: &str, value: i32) -> Result<usize, String> {
    usize::try_from(value).map_err(|_| format!("the {what} is {value}"))
}

fn pair(what: &str, height: i32, width: i32) -> Result<[usize; 2], String> {
    Ok([size(what, height)?, size(what, width)?])
}

fn triple(what: &str, depth: i32, height: i32, width: i32) -> Result<[usize; 3], String> {
    Ok([size(what, depth)?, size(what, height)?, size(what, width)?])
}

/// A set of bits, whatever its sign.
fn mask(value: i32) -> Result<u32, String> {
    Ok(u32::from_le_bytes(value.to_le_bytes()))
}

fn graph(index: i32) -> Result<usize, String> {
    usize::try_from(index).map_err(|_| format!("graph {index} does not exist"))
}
