//! Operators: from a typed operation to a builtin code and packed options.
//!
//! An operation whose options table has no fields is written without one; every runtime reads the two alike.

use flatbuffers::WIPOffset;
use octet_ir::ops::{
    Activation, ArgKind, BinaryKind, CompareKind, LstmKernel, MirrorMode, Padding, PoolKind, ReduceKind, SelectKind, UnaryKind,
    UnsortedSegmentKind, WeightsFormat,
};
use octet_ir::{ElementType, Op};
use octet_tflite_schema as fb;
use octet_tflite_schema::BuiltinOperator as Code;

use crate::packer::{Options, Packer};

/// The builtin code of an operation; `CUSTOM` for a third party's.
pub(crate) fn code(op: &Op) -> Code {
    match op {
        Op::Conv2d(_) => Code::CONV_2D,
        Op::DepthwiseConv2d(_) => Code::DEPTHWISE_CONV_2D,
        Op::TransposeConv(_) => Code::TRANSPOSE_CONV,
        Op::Conv3d(_) => Code::CONV_3D,
        Op::Conv3dTranspose(_) => Code::CONV_3D_TRANSPOSE,
        Op::FullyConnected(_) => Code::FULLY_CONNECTED,
        Op::BatchMatmul(_) => Code::BATCH_MATMUL,
        Op::EmbeddingLookup(_) => Code::EMBEDDING_LOOKUP,
        Op::Unary(o) => unary(o.kind),
        Op::Binary(o) => binary(o.kind),
        Op::Compare(o) => compare(o.kind),
        Op::Gelu(_) => Code::GELU,
        Op::LeakyRelu(_) => Code::LEAKY_RELU,
        Op::Prelu(_) => Code::PRELU,
        Op::Select(o) => match o.kind {
            SelectKind::Select => Code::SELECT,
            SelectKind::SelectV2 => Code::SELECT_V2,
        },
        Op::Cast(_) => Code::CAST,
        Op::Bitcast(_) => Code::BITCAST,
        Op::Pool2d(o) => match o.kind {
            PoolKind::Average => Code::AVERAGE_POOL_2D,
            PoolKind::Max => Code::MAX_POOL_2D,
            PoolKind::L2 => Code::L2_POOL_2D,
        },
        Op::Reduce(o) => match o.kind {
            ReduceKind::Mean => Code::MEAN,
            ReduceKind::Sum => Code::SUM,
            ReduceKind::Max => Code::REDUCE_MAX,
            ReduceKind::Min => Code::REDUCE_MIN,
            ReduceKind::Prod => Code::REDUCE_PROD,
            ReduceKind::Any => Code::REDUCE_ANY,
            ReduceKind::All => Code::REDUCE_ALL,
        },
        Op::Arg(o) => match o.kind {
            ArgKind::Max => Code::ARG_MAX,
            ArgKind::Min => Code::ARG_MIN,
        },
        Op::Cumsum(_) => Code::CUMSUM,
        Op::TopkV2(_) => Code::TOPK_V2,
        Op::Unique(_) => Code::UNIQUE,
        Op::SegmentSum(_) => Code::SEGMENT_SUM,
        Op::UnsortedSegment(o) => match o.kind {
            UnsortedSegmentKind::Sum => Code::UNSORTED_SEGMENT_SUM,
            UnsortedSegmentKind::Prod => Code::UNSORTED_SEGMENT_PROD,
            UnsortedSegmentKind::Max => Code::UNSORTED_SEGMENT_MAX,
            UnsortedSegmentKind::Min => Code::UNSORTED_SEGMENT_MIN,
        },
        Op::Softmax(_) => Code::SOFTMAX,
        Op::LogSoftmax(_) => Code::LOG_SOFTMAX,
        Op::L2Normalization(_) => Code::L2_NORMALIZATION,
        Op::LocalResponseNormalization(_) => Code::LOCAL_RESPONSE_NORMALIZATION,
        Op::Reshape(_) => Code::RESHAPE,
        Op::Squeeze(_) => Code::SQUEEZE,
        Op::ExpandDims(_) => Code::EXPAND_DIMS,
        Op::Transpose(_) => Code::TRANSPOSE,
        Op::ShapeOf(_) => Code::SHAPE,
        Op::Rank(_) => Code::RANK,
        Op::BroadcastTo(_) => Code::BROADCAST_TO,
        Op::BroadcastArgs(_) => Code::BROADCAST_ARGS,
        Op::MatrixDiag(_) => Code::MATRIX_DIAG,
        Op::MatrixSetDiag(_) => Code::MATRIX_SET_DIAG,
        Op::Slice(_) => Code::SLICE,
        Op::StridedSlice(_) => Code::STRIDED_SLICE,
        Op::Split(_) => Code::SPLIT,
        Op::SplitV(_) => Code::SPLIT_V,
        Op::DynamicUpdateSlice(_) => Code::DYNAMIC_UPDATE_SLICE,
        Op::ReverseV2(_) => Code::REVERSE_V2,
        Op::ReverseSequence(_) => Code::REVERSE_SEQUENCE,
        Op::Tile(_) => Code::TILE,
        Op::Concatenation(_) => Code::CONCATENATION,
        Op::Pack(_) => Code::PACK,
        Op::Unpack(_) => Code::UNPACK,
        Op::Pad(_) => Code::PAD,
        Op::PadV2(_) => Code::PADV2,
        Op::MirrorPad(_) => Code::MIRROR_PAD,
        Op::Gather(_) => Code::GATHER,
        Op::GatherNd(_) => Code::GATHER_ND,
        Op::ScatterNd(_) => Code::SCATTER_ND,
        Op::SpaceToDepth(_) => Code::SPACE_TO_DEPTH,
        Op::DepthToSpace(_) => Code::DEPTH_TO_SPACE,
        Op::SpaceToBatchNd(_) => Code::SPACE_TO_BATCH_ND,
        Op::BatchToSpaceNd(_) => Code::BATCH_TO_SPACE_ND,
        Op::ResizeBilinear(_) => Code::RESIZE_BILINEAR,
        Op::ResizeNearestNeighbor(_) => Code::RESIZE_NEAREST_NEIGHBOR,
        Op::Fill(_) => Code::FILL,
        Op::RangeOp(_) => Code::RANGE,
        Op::OneHot(_) => Code::ONE_HOT,
        Op::Where(_) => Code::WHERE,
        Op::SparseToDense(_) => Code::SPARSE_TO_DENSE,
        Op::Quantize(_) => Code::QUANTIZE,
        Op::Dequantize(_) => Code::DEQUANTIZE,
        Op::FakeQuant(_) => Code::FAKE_QUANT,
        Op::Densify(_) => Code::DENSIFY,
        Op::Svdf(_) => Code::SVDF,
        Op::UnidirectionalSequenceLstm(_) => Code::UNIDIRECTIONAL_SEQUENCE_LSTM,
        Op::BidirectionalSequenceLstm(_) => Code::BIDIRECTIONAL_SEQUENCE_LSTM,
        Op::Lstm(_) => Code::LSTM,
        Op::Rnn(_) => Code::RNN,
        Op::UnidirectionalSequenceRnn(_) => Code::UNIDIRECTIONAL_SEQUENCE_RNN,
        Op::BidirectionalSequenceRnn(_) => Code::BIDIRECTIONAL_SEQUENCE_RNN,
        Op::If(_) => Code::IF,
        Op::While(_) => Code::WHILE,
        Op::CallOnce(_) => Code::CALL_ONCE,
        Op::VarHandle(_) => Code::VAR_HANDLE,
        Op::ReadVariable(_) => Code::READ_VARIABLE,
        Op::AssignVariable(_) => Code::ASSIGN_VARIABLE,
        Op::Custom(_) => Code::CUSTOM,
        Op::Opaque(o) => Code(o.builtin_code),
    }
}

fn unary(kind: UnaryKind) -> Code {
    match kind {
        UnaryKind::Abs => Code::ABS,
        UnaryKind::Ceil => Code::CEIL,
        UnaryKind::Cos => Code::COS,
        UnaryKind::Elu => Code::ELU,
        UnaryKind::Exp => Code::EXP,
        UnaryKind::Floor => Code::FLOOR,
        UnaryKind::HardSwish => Code::HARD_SWISH,
        UnaryKind::Log => Code::LOG,
        UnaryKind::LogicalNot => Code::LOGICAL_NOT,
        UnaryKind::Logistic => Code::LOGISTIC,
        UnaryKind::Neg => Code::NEG,
        UnaryKind::Relu => Code::RELU,
        UnaryKind::Relu6 => Code::RELU6,
        UnaryKind::ReluN1To1 => Code::RELU_N1_TO_1,
        UnaryKind::Relu0To1 => Code::RELU_0_TO_1,
        UnaryKind::Round => Code::ROUND,
        UnaryKind::Rsqrt => Code::RSQRT,
        UnaryKind::Sign => Code::SIGN,
        UnaryKind::Sin => Code::SIN,
        UnaryKind::Sqrt => Code::SQRT,
        UnaryKind::Square => Code::SQUARE,
        UnaryKind::Tanh => Code::TANH,
        UnaryKind::ZerosLike => Code::ZEROS_LIKE,
    }
}

fn binary(kind: BinaryKind) -> Code {
    match kind {
        BinaryKind::Add => Code::ADD,
        BinaryKind::Sub => Code::SUB,
        BinaryKind::Mul => Code::MUL,
        BinaryKind::Div => Code::DIV,
        BinaryKind::FloorDiv => Code::FLOOR_DIV,
        BinaryKind::FloorMod => Code::FLOOR_MOD,
        BinaryKind::Maximum => Code::MAXIMUM,
        BinaryKind::Minimum => Code::MINIMUM,
        BinaryKind::Pow => Code::POW,
        BinaryKind::SquaredDifference => Code::SQUARED_DIFFERENCE,
        BinaryKind::Atan2 => Code::ATAN2,
        BinaryKind::LogicalAnd => Code::LOGICAL_AND,
        BinaryKind::LogicalOr => Code::LOGICAL_OR,
        BinaryKind::BitwiseXor => Code::BITWISE_XOR,
        BinaryKind::RightShift => Code::RIGHT_SHIFT,
    }
}

fn compare(kind: CompareKind) -> Code {
    match kind {
        CompareKind::Equal => Code::EQUAL,
        CompareKind::NotEqual => Code::NOT_EQUAL,
        CompareKind::Greater => Code::GREATER,
        CompareKind::GreaterEqual => Code::GREATER_EQUAL,
        CompareKind::Less => Code::LESS,
        CompareKind::LessEqual => Code::LESS_EQUAL,
    }
}

/// The options of an operation, `None` where the format has none for it (or none that runtimes look at). Options of custom and
/// unmodelled operations are not options in this sense: `None`. The error says which number does not fit the format.
pub(crate) fn options(op: &Op, packer: &mut Packer<'_>) -> Result<Option<Options>, String> {
    /// Writes an options table from its arguments.
    macro_rules! table {
        ($table:ident, $args:ident { $($field:ident : $value:expr),* $(,)? }) => {{
            let args = fb::$args { $($field: $value),* };
            let offset = packer.table(|fbb| fb::$table::create(fbb, &args));
            Some((fb::BuiltinOptions::$table, WIPOffset::new(offset.value())))
        }};
    }
    Ok(match op {
        Op::Conv2d(o) => table!(
            Conv2DOptions,
            Conv2DOptionsArgs {
                padding: padding(o.padding),
                stride_h: int(o.stride[0])?,
                stride_w: int(o.stride[1])?,
                dilation_h_factor: int(o.dilation[0])?,
                dilation_w_factor: int(o.dilation[1])?,
                fused_activation_function: activation(o.activation),
                quantized_bias_type: bias_type(o.quantized_bias_type),
            }
        ),
        Op::DepthwiseConv2d(o) => table!(
            DepthwiseConv2DOptions,
            DepthwiseConv2DOptionsArgs {
                padding: padding(o.padding),
                stride_h: int(o.stride[0])?,
                stride_w: int(o.stride[1])?,
                dilation_h_factor: int(o.dilation[0])?,
                dilation_w_factor: int(o.dilation[1])?,
                depth_multiplier: int(o.depth_multiplier)?,
                fused_activation_function: activation(o.activation),
            }
        ),
        Op::TransposeConv(o) => table!(
            TransposeConvOptions,
            TransposeConvOptionsArgs {
                padding: padding(o.padding),
                stride_h: int(o.stride[0])?,
                stride_w: int(o.stride[1])?,
                fused_activation_function: activation(o.activation),
                quantized_bias_type: bias_type(o.quantized_bias_type),
            }
        ),
        Op::Conv3d(o) => conv_3d(packer, o.padding, o.stride, o.dilation, o.activation)?,
        Op::Conv3dTranspose(o) => conv_3d(packer, o.padding, o.stride, o.dilation, o.activation)?,
        Op::FullyConnected(o) => table!(
            FullyConnectedOptions,
            FullyConnectedOptionsArgs {
                fused_activation_function: activation(o.activation),
                weights_format: match o.weights_format {
                    WeightsFormat::Default => fb::FullyConnectedOptionsWeightsFormat::DEFAULT,
                    WeightsFormat::Shuffled4x16Int8 => fb::FullyConnectedOptionsWeightsFormat::SHUFFLED4x16INT8,
                },
                keep_num_dims: o.keep_num_dims,
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
                quantized_bias_type: bias_type(o.quantized_bias_type),
                quant_spec: None,
            }
        ),
        Op::BatchMatmul(o) => table!(
            BatchMatMulOptions,
            BatchMatMulOptionsArgs { adj_x: o.adj_x, adj_y: o.adj_y, asymmetric_quantize_inputs: o.asymmetric_quantize_inputs }
        ),
        Op::Binary(o) => {
            let fused_activation_function = activation(o.activation);
            match o.kind {
                BinaryKind::Add => table!(
                    AddOptions,
                    AddOptionsArgs { fused_activation_function: fused_activation_function, pot_scale_int16: o.pot_scale_int16 }
                ),
                BinaryKind::Sub => table!(
                    SubOptions,
                    SubOptionsArgs { fused_activation_function: fused_activation_function, pot_scale_int16: o.pot_scale_int16 }
                ),
                BinaryKind::Mul => table!(MulOptions, MulOptionsArgs { fused_activation_function: fused_activation_function }),
                BinaryKind::Div => table!(DivOptions, DivOptionsArgs { fused_activation_function: fused_activation_function }),
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
                | BinaryKind::RightShift => None,
            }
        }
        Op::Gelu(o) => table!(GeluOptions, GeluOptionsArgs { approximate: o.approximate }),
        Op::LeakyRelu(o) => table!(LeakyReluOptions, LeakyReluOptionsArgs { alpha: o.alpha }),
        Op::Cast(o) => match (o.in_type, o.out_type) {
            // Kernels look at the tensors.
            (None, None) => None,
            (from, to) => table!(
                CastOptions,
                CastOptionsArgs {
                    in_data_type: from.map_or(fb::TensorType::FLOAT32, tensor_type),
                    out_data_type: to.map_or(fb::TensorType::FLOAT32, tensor_type),
                }
            ),
        },
        Op::Pool2d(o) => table!(
            Pool2DOptions,
            Pool2DOptionsArgs {
                padding: padding(o.padding),
                stride_h: int(o.stride[0])?,
                stride_w: int(o.stride[1])?,
                filter_height: int(o.filter[0])?,
                filter_width: int(o.filter[1])?,
                fused_activation_function: activation(o.activation),
            }
        ),
        Op::Reduce(o) => table!(ReducerOptions, ReducerOptionsArgs { keep_dims: o.keep_dims }),
        Op::Arg(o) => match o.kind {
            ArgKind::Max => table!(ArgMaxOptions, ArgMaxOptionsArgs { output_type: tensor_type(o.output_type) }),
            ArgKind::Min => table!(ArgMinOptions, ArgMinOptionsArgs { output_type: tensor_type(o.output_type) }),
        },
        Op::Cumsum(o) => table!(CumsumOptions, CumsumOptionsArgs { exclusive: o.exclusive, reverse: o.reverse }),
        Op::Unique(o) => table!(UniqueOptions, UniqueOptionsArgs { idx_out_type: tensor_type(o.idx_out_type) }),
        Op::Softmax(o) => table!(SoftmaxOptions, SoftmaxOptionsArgs { beta: o.beta }),
        Op::L2Normalization(o) => table!(L2NormOptions, L2NormOptionsArgs { fused_activation_function: activation(o.activation) }),
        Op::LocalResponseNormalization(o) => {
            table!(
                LocalResponseNormalizationOptions,
                LocalResponseNormalizationOptionsArgs { radius: o.radius, bias: o.bias, alpha: o.alpha, beta: o.beta }
            )
        }
        Op::Reshape(o) => match &o.new_shape {
            None => None,
            Some(shape) => {
                let shape = packer.ints(shape);
                table!(ReshapeOptions, ReshapeOptionsArgs { new_shape: Some(WIPOffset::new(shape.value())) })
            }
        },
        Op::Squeeze(o) => {
            let dims = (!o.dims.is_empty()).then(|| packer.ints(&o.dims));
            table!(SqueezeOptions, SqueezeOptionsArgs { squeeze_dims: dims.map(|d| WIPOffset::new(d.value())) })
        }
        Op::ShapeOf(o) => table!(ShapeOptions, ShapeOptionsArgs { out_type: tensor_type(o.out_type) }),
        Op::StridedSlice(o) => table!(
            StridedSliceOptions,
            StridedSliceOptionsArgs {
                begin_mask: mask(o.begin_mask),
                end_mask: mask(o.end_mask),
                ellipsis_mask: mask(o.ellipsis_mask),
                new_axis_mask: mask(o.new_axis_mask),
                shrink_axis_mask: mask(o.shrink_axis_mask),
                offset: o.offset,
            }
        ),
        Op::Split(o) => table!(SplitOptions, SplitOptionsArgs { num_splits: int(o.num_splits)? }),
        Op::SplitV(o) => table!(SplitVOptions, SplitVOptionsArgs { num_splits: int(o.num_splits)? }),
        Op::ReverseSequence(o) => {
            table!(ReverseSequenceOptions, ReverseSequenceOptionsArgs { seq_dim: o.seq_dim, batch_dim: o.batch_dim })
        }
        Op::Concatenation(o) => {
            table!(ConcatenationOptions, ConcatenationOptionsArgs { axis: o.axis, fused_activation_function: activation(o.activation) })
        }
        Op::Pack(o) => table!(PackOptions, PackOptionsArgs { values_count: int(o.values_count)?, axis: o.axis }),
        Op::Unpack(o) => table!(UnpackOptions, UnpackOptionsArgs { num: int(o.num)?, axis: o.axis }),
        Op::MirrorPad(o) => table!(
            MirrorPadOptions,
            MirrorPadOptionsArgs {
                mode: match o.mode {
                    MirrorMode::Reflect => fb::MirrorPadMode::REFLECT,
                    MirrorMode::Symmetric => fb::MirrorPadMode::SYMMETRIC,
                },
            }
        ),
        Op::Gather(o) => table!(GatherOptions, GatherOptionsArgs { axis: o.axis, batch_dims: o.batch_dims }),
        Op::SpaceToDepth(o) => table!(SpaceToDepthOptions, SpaceToDepthOptionsArgs { block_size: int(o.block_size)? }),
        Op::DepthToSpace(o) => table!(DepthToSpaceOptions, DepthToSpaceOptionsArgs { block_size: int(o.block_size)? }),
        Op::ResizeBilinear(o) => table!(
            ResizeBilinearOptions,
            ResizeBilinearOptionsArgs {
                new_height: 0,
                new_width: 0,
                align_corners: o.align_corners,
                half_pixel_centers: o.half_pixel_centers
            }
        ),
        Op::ResizeNearestNeighbor(o) => table!(
            ResizeNearestNeighborOptions,
            ResizeNearestNeighborOptionsArgs { align_corners: o.align_corners, half_pixel_centers: o.half_pixel_centers }
        ),
        Op::OneHot(o) => table!(OneHotOptions, OneHotOptionsArgs { axis: o.axis }),
        Op::SparseToDense(o) => table!(SparseToDenseOptions, SparseToDenseOptionsArgs { validate_indices: o.validate_indices }),
        Op::FakeQuant(o) => table!(
            FakeQuantOptions,
            FakeQuantOptionsArgs {
                min: o.min,
                max: o.max,
                num_bits: i32::try_from(o.num_bits).map_err(|_| format!("{} bits", o.num_bits))?,
                narrow_range: o.narrow_range,
            }
        ),
        Op::Svdf(o) => table!(
            SVDFOptions,
            SVDFOptionsArgs {
                rank: int(o.rank)?,
                fused_activation_function: activation(o.activation),
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
        ),
        Op::UnidirectionalSequenceLstm(o) => {
            table!(
                UnidirectionalSequenceLSTMOptions,
                UnidirectionalSequenceLSTMOptionsArgs {
                    fused_activation_function: activation(o.activation),
                    cell_clip: o.cell_clip,
                    proj_clip: o.proj_clip,
                    time_major: o.time_major,
                    asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
                    diagonal_recurrent_tensors: o.diagonal_recurrent_tensors,
                }
            )
        }
        Op::BidirectionalSequenceLstm(o) => {
            table!(
                BidirectionalSequenceLSTMOptions,
                BidirectionalSequenceLSTMOptionsArgs {
                    fused_activation_function: activation(o.activation),
                    cell_clip: o.cell_clip,
                    proj_clip: o.proj_clip,
                    merge_outputs: o.merge_outputs,
                    time_major: o.time_major,
                    asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
                }
            )
        }
        Op::Lstm(o) => table!(
            LSTMOptions,
            LSTMOptionsArgs {
                fused_activation_function: activation(o.activation),
                cell_clip: o.cell_clip,
                proj_clip: o.proj_clip,
                kernel_type: match o.kernel_type {
                    LstmKernel::Full => fb::LSTMKernelType::FULL,
                    LstmKernel::Basic => fb::LSTMKernelType::BASIC,
                },
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
        ),
        Op::Rnn(o) => table!(
            RNNOptions,
            RNNOptionsArgs {
                fused_activation_function: activation(o.activation),
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
        ),
        Op::UnidirectionalSequenceRnn(o) => table!(
            SequenceRNNOptions,
            SequenceRNNOptionsArgs {
                time_major: o.time_major,
                fused_activation_function: activation(o.activation),
                asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
            }
        ),
        Op::BidirectionalSequenceRnn(o) => {
            table!(
                BidirectionalSequenceRNNOptions,
                BidirectionalSequenceRNNOptionsArgs {
                    time_major: o.time_major,
                    fused_activation_function: activation(o.activation),
                    merge_outputs: o.merge_outputs,
                    asymmetric_quantize_inputs: o.asymmetric_quantize_inputs,
                }
            )
        }
        Op::If(o) => table!(IfOptions, IfOptionsArgs { then_subgraph_index: int(o.then_graph)?, else_subgraph_index: int(o.else_graph)? }),
        Op::While(o) => {
            table!(WhileOptions, WhileOptionsArgs { cond_subgraph_index: int(o.cond_graph)?, body_subgraph_index: int(o.body_graph)? })
        }
        Op::CallOnce(o) => table!(CallOnceOptions, CallOnceOptionsArgs { init_subgraph_index: int(o.init_graph)? }),
        Op::VarHandle(o) => {
            let name = |text: &str, packer: &mut Packer<'_>| (!text.is_empty()).then(|| packer.string(text).value());
            let (container, shared_name) = (name(&o.container, packer), name(&o.shared_name, packer));
            table!(
                VarHandleOptions,
                VarHandleOptionsArgs { container: container.map(WIPOffset::new), shared_name: shared_name.map(WIPOffset::new) }
            )
        }
        Op::EmbeddingLookup(_)
        | Op::Unary(_)
        | Op::Compare(_)
        | Op::Prelu(_)
        | Op::Select(_)
        | Op::Bitcast(_)
        | Op::TopkV2(_)
        | Op::SegmentSum(_)
        | Op::UnsortedSegment(_)
        | Op::LogSoftmax(_)
        | Op::ExpandDims(_)
        | Op::Transpose(_)
        | Op::Rank(_)
        | Op::BroadcastTo(_)
        | Op::BroadcastArgs(_)
        | Op::MatrixDiag(_)
        | Op::MatrixSetDiag(_)
        | Op::Slice(_)
        | Op::DynamicUpdateSlice(_)
        | Op::ReverseV2(_)
        | Op::Tile(_)
        | Op::Pad(_)
        | Op::PadV2(_)
        | Op::GatherNd(_)
        | Op::ScatterNd(_)
        | Op::SpaceToBatchNd(_)
        | Op::BatchToSpaceNd(_)
        | Op::Fill(_)
        | Op::RangeOp(_)
        | Op::Where(_)
        | Op::Quantize(_)
        | Op::Dequantize(_)
        | Op::Densify(_)
        | Op::ReadVariable(_)
        | Op::AssignVariable(_)
        | Op::Custom(_)
        | Op::Opaque(_) => None,
    })
}

fn conv_3d(
    packer: &mut Packer<'_>,
    border: Padding,
    stride: [usize; 3],
    dilation: [usize; 3],
    fused: Activation,
) -> Result<Option<Options>, String> {
    let args = fb::Conv3DOptionsArgs {
        padding: padding(border),
        stride_d: int(stride[0])?,
        stride_h: int(stride[1])?,
        stride_w: int(stride[2])?,
        dilation_d_factor: int(dilation[0])?,
        dilation_h_factor: int(dilation[1])?,
        dilation_w_factor: int(dilation[2])?,
        fused_activation_function: activation(fused),
    };
    let offset = packer.table(|fbb| fb::Conv3DOptions::create(fbb, &args));
    Ok(Some((fb::BuiltinOptions::Conv3DOptions, WIPOffset::new(offset.value()))))
}

fn padding(value: Padding) -> fb::Padding {
    match value {
        Padding::Same => fb::Padding::SAME,
        Padding::Valid => fb::Padding::VALID,
    }
}

fn activation(value: Activation) -> fb::ActivationFunctionType {
    match value {
        Activation::None => fb::ActivationFunctionType::NONE,
        Activation::Relu => fb::ActivationFunctionType::RELU,
        Activation::ReluN1To1 => fb::ActivationFunctionType::RELU_N1_TO_1,
        Activation::Relu6 => fb::ActivationFunctionType::RELU6,
        Activation::Tanh => fb::ActivationFunctionType::TANH,
        Activation::SignBit => fb::ActivationFunctionType::SIGN_BIT,
    }
}

/// FLOAT32, the field's default, stands for a bias type that is not given.
fn bias_type(value: Option<ElementType>) -> fb::TensorType {
    value.map_or(fb::TensorType::FLOAT32, tensor_type)
}

/// The format's name for an element type.
pub(crate) fn tensor_type(elem: ElementType) -> fb::TensorType {
    match elem {
        ElementType::F32 => fb::TensorType::FLOAT32,
        ElementType::F16 => fb::TensorType::FLOAT16,
        ElementType::BF16 => fb::TensorType::BFLOAT16,
        ElementType::F64 => fb::TensorType::FLOAT64,
        ElementType::F8E4M3FN => fb::TensorType::FLOAT8_E4M3FN,
        ElementType::F8E5M2 => fb::TensorType::FLOAT8_E5M2,
        ElementType::I64 => fb::TensorType::INT64,
        ElementType::I32 => fb::TensorType::INT32,
        ElementType::I16 => fb::TensorType::INT16,
        ElementType::I8 => fb::TensorType::INT8,
        ElementType::I4 => fb::TensorType::INT4,
        ElementType::I2 => fb::TensorType::INT2,
        ElementType::U64 => fb::TensorType::UINT64,
        ElementType::U32 => fb::TensorType::UINT32,
        ElementType::U16 => fb::TensorType::UINT16,
        ElementType::U8 => fb::TensorType::UINT8,
        ElementType::U4 => fb::TensorType::UINT4,
        ElementType::Bool => fb::TensorType::BOOL,
        ElementType::String => fb::TensorType::STRING,
        ElementType::Complex64 => fb::TensorType::COMPLEX64,
        ElementType::Complex128 => fb::TensorType::COMPLEX128,
        ElementType::Resource => fb::TensorType::RESOURCE,
        ElementType::Variant => fb::TensorType::VARIANT,
    }
}

fn int(value: usize) -> Result<i32, String> {
    i32::try_from(value).map_err(|_| format!("{value} does not fit 31 bits"))
}

/// A set of bits, whatever its sign.
fn mask(value: u32) -> i32 {
    i32::from_le_bytes(value.to_le_bytes())
}
