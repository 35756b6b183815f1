"""Small TFLite files for the tests, written with the object interface of LiteRT's own schema, and run by LiteRT."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

TYPES = {"float32": 0, "float16": 1, "int32": 2, "int64": 4, "bool": 6, "complex64": 8}


@dataclass
class TFLiteFile:
    """Tensors and operators, added one by one; `input` and `tensor` return a tensor's number."""

    tensors: list[Any] = field(default_factory=list)
    buffers: list[Any] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[Any] = field(default_factory=list)
    codes: list[Any] = field(default_factory=list)

    def tensor(self, shape: tuple[int, ...], dtype: str = "float32", *, batch: bool = False) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = f"tensor{len(self.tensors)}".encode(), list(shape), TYPES[dtype]
        if batch:
            tensor.shapeSignature = [-1, *shape[1:]]
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(self, values: Any, dtype: str = "float32") -> int:
        array = np.asarray(values, dtype)
        number = self.tensor(array.shape, dtype)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.buffers.append(buffer)
        self.tensors[number].buffer = len(self.buffers) - 1
        return number

    def operator(
        self, kind: str, inputs: list[int], shape: tuple[int, ...], dtype: str = "float32", options: Any = None
    ) -> int:
        """Adds an operator with one result of that shape and returns the result's number."""
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = 1
        self.codes.append(code)
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs = len(self.codes) - 1, inputs
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, type(options).__name__[:-1])
            operator.builtinOptions = options
        output = self.tensor(shape, dtype)
        operator.outputs = [output]
        self.operators.append(operator)
        return output

    def content(self, source: int, output: int) -> bytes:
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self.tensors, self.operators, [source], [output]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers, model.operatorCodes = 3, [graph], self.buffers, self.codes
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def options(kind: str, **values: Any) -> Any:
    """An option table: `options("Conv2D", strideH=2)`."""
    table = getattr(schema, f"{kind}OptionsT")()
    for name, value in values.items():
        assert hasattr(table, name), f"{kind}Options has no {name}"
        setattr(table, name, value)
    return table


def run_litert(content: bytes, values: Any) -> Any:
    """What LiteRT computes from `values`, with its plain kernels, for that batch."""
    interpreter = Interpreter(
        model_content=content, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, values.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source, values)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).copy()
