//! Every builtin operator with every field of its options away from the default survives the way through the IR.

use bytes::Bytes;
use flatbuffers::FlatBufferBuilder;
use octet_backend_tflite::{WriteOptions, write};
use octet_frontend_tflite::read;
use octet_tflite_schema as schema;
use schema::{
    ActivationFunctionType as Fused, BufferT, BuiltinOperator as Code, BuiltinOptions2T as Second, BuiltinOptionsT as First, ModelT,
    OperatorCodeT, OperatorT, Padding, SubGraphT, TensorT, TensorType,
};

/// A table of the object form, which cannot be written as a literal outside its crate.
fn make<T: Default>(set: impl FnOnce(&mut T)) -> T {
    let mut made = T::default();
    set(&mut made);
    made
}

/// Two graphs, so that options have one to call; the first holds the operator.
fn model(code: Code, version: i32, first: First, second: Second) -> ModelT {
    let tensor = || {
        make(|t: &mut TensorT| {
            t.shape = Some(vec![1, 4]);
        })
    };
    let graph = |operators: Vec<OperatorT>, output: i32| {
        make(|g: &mut SubGraphT| {
            g.tensors = Some(vec![tensor(), tensor()]);
            g.inputs = Some(vec![0]);
            g.outputs = Some(vec![output]);
            g.operators = Some(operators);
        })
    };
    let operator = make(|o: &mut OperatorT| {
        o.inputs = Some(vec![0, -1]);
        o.outputs = Some(vec![1]);
        o.builtin_options = first;
        o.builtin_options_2 = second;
    });
    make(|m: &mut ModelT| {
        m.version = 3;
        m.operator_codes = Some(vec![make(|c: &mut OperatorCodeT| {
            c.builtin_code = code;
            c.deprecated_builtin_code = i8::try_from(code.0).unwrap_or(127);
            c.version = version;
        })]);
        m.subgraphs = Some(vec![graph(vec![operator], 1), graph(Vec::new(), 0)]);
        m.buffers = Some(vec![BufferT::default()]);
    })
}

fn bytes(model: &ModelT) -> Bytes {
    let mut builder = FlatBufferBuilder::new();
    let root = model.pack(&mut builder);
    schema::finish_model_buffer(&mut builder, root);
    builder.finished_data().to_vec().into()
}

/// The model after reading and writing, in the object form.
fn through(model: &ModelT, name: &str) -> ModelT {
    let module = read(&bytes(model)).unwrap_or_else(|why| panic!("{name}: {why}"));
    let written = write(&module, &WriteOptions::default()).unwrap_or_else(|why| panic!("{name}: {why}")).into_bytes();
    schema::root_as_model(&written).unwrap().unpack()
}

fn first_operator(model: &ModelT) -> &OperatorT {
    &model.subgraphs.as_ref().unwrap()[0].operators.as_ref().unwrap()[0]
}

/// Options of the kind that `table` wraps, with fields set.
fn options<T: Default, U>(table: fn(Box<T>) -> U, set: impl FnOnce(&mut T)) -> U {
    table(Box::new(make(set)))
}

/// Checks operators, each with these fields of its options.
macro_rules! survive {
    ($($code:ident: $union:ident::$table:ident { $($field:ident = $value:expr),* $(,)? };)*) => {$({
        let (first, second) = survive!(@$union $table { $($field = $value),* });
        check(Code::$code, first, second);
    })*};
    (@First $table:ident { $($field:ident = $value:expr),* }) => {
        (options(First::$table, |_options| { $(_options.$field = $value;)* }), Second::NONE)
    };
    (@Second $table:ident { $($field:ident = $value:expr),* }) => {
        (First::NONE, options(Second::$table, |_options| { $(_options.$field = $value;)* }))
    };
}

fn check(code: Code, first: First, second: Second) {
    let name = code.variant_name().unwrap();
    let given = model(code, 1, first, second);
    let taken = through(&given, name);
    let (before, after) = (first_operator(&given), first_operator(&taken));
    assert_eq!(before.builtin_options, after.builtin_options, "{name}");
    assert_eq!(before.builtin_options_2, after.builtin_options_2, "{name}");
    let written = &taken.operator_codes.as_ref().unwrap()[0];
    assert_eq!((written.builtin_code, i32::from(written.deprecated_builtin_code)), (code, code.0.min(127)), "{name}");
}

#[test]
fn options_of_modelled_operators_survive() {
    survive! {
        CONV_2D: First::Conv2DOptions {
            padding = Padding::VALID, stride_w = 2, stride_h = 3, fused_activation_function = Fused::RELU6, dilation_w_factor = 4,
            dilation_h_factor = 5, quantized_bias_type = TensorType::INT32,
        };
        DEPTHWISE_CONV_2D: First::DepthwiseConv2DOptions {
            padding = Padding::VALID, stride_w = 2, stride_h = 3, depth_multiplier = 6, fused_activation_function = Fused::RELU,
            dilation_w_factor = 4, dilation_h_factor = 5,
        };
        TRANSPOSE_CONV: First::TransposeConvOptions {
            padding = Padding::VALID, stride_w = 2, stride_h = 3, fused_activation_function = Fused::RELU,
            quantized_bias_type = TensorType::INT64,
        };
        CONV_3D: First::Conv3DOptions {
            padding = Padding::VALID, stride_d = 2, stride_w = 3, stride_h = 4, fused_activation_function = Fused::RELU_N1_TO_1,
            dilation_d_factor = 5, dilation_w_factor = 6, dilation_h_factor = 7,
        };
        CONV_3D_TRANSPOSE: First::Conv3DOptions { padding = Padding::VALID, stride_d = 2, stride_w = 3, stride_h = 4 };
        AVERAGE_POOL_2D: First::Pool2DOptions {
            padding = Padding::VALID, stride_w = 2, stride_h = 3, filter_width = 4, filter_height = 5, fused_activation_function = Fused::RELU,
        };
        MAX_POOL_2D: First::Pool2DOptions { stride_w = 2, stride_h = 3, filter_width = 4, filter_height = 5 };
        L2_POOL_2D: First::Pool2DOptions { stride_w = 2, stride_h = 3, filter_width = 4, filter_height = 5 };
        FULLY_CONNECTED: First::FullyConnectedOptions {
            fused_activation_function = Fused::RELU, weights_format = schema::FullyConnectedOptionsWeightsFormat::SHUFFLED4x16INT8,
            keep_num_dims = true, asymmetric_quantize_inputs = true, quantized_bias_type = TensorType::INT64,
        };
        FULLY_CONNECTED: First::FullyConnectedOptions { quant_spec = Some(vec![1, 2, 3]), keep_num_dims = true };
        BATCH_MATMUL: First::BatchMatMulOptions { adj_x = true, adj_y = true, asymmetric_quantize_inputs = true };
        ADD: First::AddOptions { fused_activation_function = Fused::RELU, pot_scale_int16 = false };
        SUB: First::SubOptions { fused_activation_function = Fused::RELU, pot_scale_int16 = false };
        MUL: First::MulOptions { fused_activation_function = Fused::RELU };
        DIV: First::DivOptions { fused_activation_function = Fused::RELU };
        GELU: First::GeluOptions { approximate = true };
        LEAKY_RELU: First::LeakyReluOptions { alpha = 0.25 };
        SOFTMAX: First::SoftmaxOptions { beta = 0.5 };
        L2_NORMALIZATION: First::L2NormOptions { fused_activation_function = Fused::RELU };
        LOCAL_RESPONSE_NORMALIZATION: First::LocalResponseNormalizationOptions { radius = 1, bias = 0.5, alpha = 0.25, beta = 0.125 };
        CAST: First::CastOptions { in_data_type = TensorType::INT8, out_data_type = TensorType::INT64 };
        FAKE_QUANT: First::FakeQuantOptions { min = -1.5, max = 2.5, num_bits = 8, narrow_range = true };
        ARG_MAX: First::ArgMaxOptions { output_type = TensorType::INT64 };
        ARG_MIN: First::ArgMinOptions { output_type = TensorType::INT64 };
        CUMSUM: First::CumsumOptions { exclusive = true, reverse = true };
        UNIQUE: First::UniqueOptions { idx_out_type = TensorType::INT64 };
        MEAN: First::ReducerOptions { keep_dims = true };
        SUM: First::ReducerOptions { keep_dims = true };
        REDUCE_MAX: First::ReducerOptions { keep_dims = true };
        REDUCE_MIN: First::ReducerOptions { keep_dims = true };
        REDUCE_PROD: First::ReducerOptions { keep_dims = true };
        REDUCE_ANY: First::ReducerOptions { keep_dims = true };
        REDUCE_ALL: First::ReducerOptions { keep_dims = true };
        RESHAPE: First::ReshapeOptions { new_shape = Some(vec![2, -1]) };
        SQUEEZE: First::SqueezeOptions { squeeze_dims = Some(vec![0, -2]) };
        SHAPE: First::ShapeOptions { out_type = TensorType::INT64 };
        STRIDED_SLICE: First::StridedSliceOptions {
            begin_mask = 1, end_mask = 2, ellipsis_mask = 4, new_axis_mask = 8, shrink_axis_mask = -16, offset = true,
        };
        SPLIT: First::SplitOptions { num_splits = 3 };
        SPLIT_V: First::SplitVOptions { num_splits = 3 };
        REVERSE_SEQUENCE: First::ReverseSequenceOptions { seq_dim = 2, batch_dim = 1 };
        CONCATENATION: First::ConcatenationOptions { axis = -2, fused_activation_function = Fused::RELU };
        PACK: First::PackOptions { values_count = 2, axis = -1 };
        UNPACK: First::UnpackOptions { num = 2, axis = -1 };
        MIRROR_PAD: First::MirrorPadOptions { mode = schema::MirrorPadMode::SYMMETRIC };
        GATHER: First::GatherOptions { axis = 2, batch_dims = 1 };
        SPACE_TO_DEPTH: First::SpaceToDepthOptions { block_size = 2 };
        DEPTH_TO_SPACE: First::DepthToSpaceOptions { block_size = 2 };
        RESIZE_BILINEAR: First::ResizeBilinearOptions { align_corners = true, half_pixel_centers = true };
        RESIZE_NEAREST_NEIGHBOR: First::ResizeNearestNeighborOptions { align_corners = true, half_pixel_centers = true };
        ONE_HOT: First::OneHotOptions { axis = -1 };
        SPARSE_TO_DENSE: First::SparseToDenseOptions { validate_indices = true };
        SVDF: First::SVDFOptions { rank = 2, fused_activation_function = Fused::RELU, asymmetric_quantize_inputs = true };
        RNN: First::RNNOptions { fused_activation_function = Fused::TANH, asymmetric_quantize_inputs = true };
        UNIDIRECTIONAL_SEQUENCE_RNN: First::SequenceRNNOptions {
            time_major = true, fused_activation_function = Fused::TANH, asymmetric_quantize_inputs = true,
        };
        BIDIRECTIONAL_SEQUENCE_RNN: First::BidirectionalSequenceRNNOptions {
            time_major = true, fused_activation_function = Fused::TANH, merge_outputs = true, asymmetric_quantize_inputs = true,
        };
        LSTM: First::LSTMOptions {
            fused_activation_function = Fused::TANH, cell_clip = 1.5, proj_clip = 2.5, kernel_type = schema::LSTMKernelType::BASIC,
            asymmetric_quantize_inputs = true,
        };
        UNIDIRECTIONAL_SEQUENCE_LSTM: First::UnidirectionalSequenceLSTMOptions {
            fused_activation_function = Fused::SIGN_BIT, cell_clip = 1.5, proj_clip = 2.5, time_major = true,
            asymmetric_quantize_inputs = true, diagonal_recurrent_tensors = true,
        };
        BIDIRECTIONAL_SEQUENCE_LSTM: First::BidirectionalSequenceLSTMOptions {
            fused_activation_function = Fused::TANH, cell_clip = 1.5, proj_clip = 2.5, merge_outputs = true, time_major = false,
            asymmetric_quantize_inputs = true,
        };
        IF: First::IfOptions { then_subgraph_index = 1, else_subgraph_index = 1 };
        WHILE: First::WhileOptions { cond_subgraph_index = 1, body_subgraph_index = 1 };
        CALL_ONCE: First::CallOnceOptions { init_subgraph_index = 1 };
        VAR_HANDLE: First::VarHandleOptions { container = Some("c".into()), shared_name = Some("n".into()) };
    }
}

#[test]
fn options_of_other_operators_travel_unchanged() {
    survive! {
        SKIP_GRAM: First::SkipGramOptions { ngram_size = 2, max_skip_size = 3, include_all_ngrams = true };
        CALL: First::CallOptions { subgraph = 1 };
        LSH_PROJECTION: First::LSHProjectionOptions { type_ = schema::LSHProjectionType::DENSE };
        CONCAT_EMBEDDINGS: First::ConcatEmbeddingsOptions { num_channels = 1, num_columns_per_channel = Some(vec![1, 2]) };
        EMBEDDING_LOOKUP_SPARSE: First::EmbeddingLookupSparseOptions { combiner = schema::CombinerType::SQRTN };
        HASHTABLE: First::HashtableOptions { table_id = 7, key_dtype = TensorType::STRING, value_dtype = TensorType::INT64 };
        BUCKETIZE: First::BucketizeOptions { boundaries = Some(vec![0.5, 1.5]) };
        RANDOM_UNIFORM: First::RandomOptions { seed = -1, seed2 = i64::MAX };
        MULTINOMIAL: First::RandomOptions { seed = 1, seed2 = 2 };
        STABLEHLO_CONCATENATE: Second::StablehloConcatenateOptions { dimension = 1 };
        STABLEHLO_CONVOLUTION: Second::StablehloConvolutionOptions {
            window_strides = Some(vec![1, 2]), window_reversal = Some(vec![true, false]), feature_group_count = 3,
            precision_config = Some(vec![schema::StablehloPrecisionConfig::HIGHEST]),
        };
        STABLEHLO_CUSTOM_CALL: Second::StablehloCustomCallOptions {
            call_target_name = Some("f".into()), has_side_effect = true, called_computations = Some(vec![1]),
            custom_attributes = Some(vec![1, 2, 3]),
        };
        STABLEHLO_COMPOSITE: Second::StableHLOCompositeOptions {
            name = Some("odml.rms_norm".into()), decomposition_subgraph_index = 1, composite_attributes = Some(vec![9]), version = 2,
        };
        STABLEHLO_WHILE: Second::StablehloWhileOptions { cond_subgraph_index = 1, body_subgraph_index = 1 };
        STABLEHLO_CASE: Second::StablehloCaseOptions { branch_subgraph_indices = Some(vec![1, 1]) };
        STABLEHLO_GATHER: Second::StablehloGatherOptions { offset_dims = Some(vec![1]), index_vector_dim = 2, indices_are_sorted = true };
        STABLEHLO_RNG_BIT_GENERATOR: Second::StablehloRngBitGeneratorOptions { algorithm = schema::RngAlgorithm::THREEFRY };
    }
}

/// Every code that the schema knows, without options where it can do without: its code and, where the IR does not model it, its version survive.
#[test]
fn every_builtin_operator_survives() {
    let mut count = 0;
    for code in (0..1000).map(Code) {
        let special = [Code::CUSTOM, Code::PLACEHOLDER_FOR_GREATER_OP_CODES].contains(&code);
        let Some(name) = code.variant_name().filter(|_| !special) else { continue };
        // Without options these would call the graph that they stand in.
        let first = match code {
            Code::IF => options(First::IfOptions, |o| (o.then_subgraph_index, o.else_subgraph_index) = (1, 1)),
            Code::WHILE => options(First::WhileOptions, |o| (o.cond_subgraph_index, o.body_subgraph_index) = (1, 1)),
            Code::CALL_ONCE => options(First::CallOnceOptions, |o| o.init_subgraph_index = 1),
            _ => First::NONE,
        };
        let given = model(code, 1, first, Second::NONE);
        let taken = through(&given, name);
        let written = &taken.operator_codes.as_ref().unwrap()[0];
        assert_eq!((written.builtin_code, i32::from(written.deprecated_builtin_code)), (code, code.0.min(127)), "{name}");
        assert_eq!(first_operator(&taken).inputs, Some(vec![0, -1]), "{name}");
        count += 1;
    }
    assert_eq!(count, 208, "operators of the schema");
    let unmodelled = through(&model(Code::RFFT2D, 7, First::NONE, Second::NONE), "RFFT2D");
    assert_eq!(unmodelled.operator_codes.unwrap()[0].version, 7);
}

/// Old writers know only the byte; the larger of the two codes is meant.
#[test]
fn both_places_of_the_code_are_read() {
    for (deprecated, new, expected) in [(19, 0, Code::RELU), (0, 19, Code::RELU), (127, 150, Code::GELU), (3, 3, Code::CONV_2D)] {
        let mut given = model(Code::RELU, 1, First::NONE, Second::NONE);
        let code = &mut given.operator_codes.as_mut().unwrap()[0];
        (code.deprecated_builtin_code, code.builtin_code) = (deprecated, Code(new));
        let taken = through(&given, "both places");
        assert_eq!(taken.operator_codes.unwrap()[0].builtin_code, expected);
    }
}

/// Options of another kind, numbers outside their enum, graphs that are not there: each is an error, with a place.
#[test]
fn wrong_options_are_refused() {
    let refused = |code: Code, first: First, expected: &str| {
        let found = read(&bytes(&model(code, 1, first, Second::NONE))).expect_err("refused");
        assert_eq!((found.0[0].code, found.0[0].location.op.as_ref().map(|o| o.0)), (expected, Some(0)), "{found}");
    };
    refused(Code::CONV_2D, First::AddOptions(Box::default()), "TFL012");
    refused(Code::ADD, options(First::AddOptions, |o| o.fused_activation_function = Fused(77)), "TFL012");
    refused(Code::CONV_2D, options(First::Conv2DOptions, |o| o.stride_w = -1), "TFL012");
    refused(Code::SPLIT, options(First::SplitOptions, |o| o.num_splits = -3), "TFL012");
    refused(Code::IF, options(First::IfOptions, |o| o.then_subgraph_index = 9), "TFL015");
    let cycle = |code, first| read(&bytes(&model(code, 1, first, Second::NONE))).expect_err("refused").0[0].code;
    assert_eq!(cycle(Code::CALL_ONCE, First::CallOnceOptions(Box::default())), "TFL015");
}
