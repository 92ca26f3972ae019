//! Control flow and named state. Graphs are named by their number in the module.

use super::infer::{InferCx, InferError, Inferred};

op! {
    /// Runs one of two graphs on the operands after the condition.
    If = "if" [condition, inputs..] declared;
    {
        /// Graph for true.
        then_graph: usize = 0,
        /// Graph for false.
        else_graph: usize = 0,
    }
}

op! {
    /// Runs the body on its own results as long as the condition graph answers true.
    While = "while" [inputs..] declared;
    {
        /// Graph that answers whether to go on.
        cond_graph: usize = 0,
        /// Graph that takes and gives the loop state.
        body_graph: usize = 0,
    }
}

fn declared<T>(_: &T, cx: &InferCx<'_>) -> Result<Vec<Inferred>, InferError> {
    cx.declared_results()
}

op! {
    /// Runs a graph the first time only: initialization of variables.
    CallOnce = "call_once" [] |_, _| Ok(Vec::new());
    {
        /// The graph.
        init_graph: usize = 0,
    }
}

op! {
    /// A handle to the module's variable of this name.
    VarHandle = "var_handle" [] declared;
    {
        /// Name space.
        container: String = String::new(),
        /// Name.
        shared_name: String = String::new(),
    }
}

op! {
    /// The value of a variable.
    ReadVariable = "read_variable" [handle] declared;
    {}
}

op! {
    /// Gives a variable a value.
    AssignVariable = "assign_variable" [handle, value] |_, _| Ok(Vec::new());
    {}
}
