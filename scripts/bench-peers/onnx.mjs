// Writes ONNX files: as much of onnx.proto3 as graphs of float tensors need. Weights lie beside the model in one file, as
// Transformers.js expects them.

import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { basename } from 'node:path';

const FLOAT = 1;
const INT64 = 7;

/** A graph that is being made: nodes are added in order, weights are written at once. */
export function createGraph(path) {
  const dataPath = `${path}_data`;
  const data = openSync(dataPath, 'w');
  const nodes = [];
  const initializers = [];
  const inputs = [];
  let written = 0;
  let names = 0;
  const fresh = () => `t${names++}`;
  const graph = {
    input(name, shape) {
      inputs.push(valueInfo(name, shape));
      return name;
    },
    weight(values, shape) {
      const name = fresh();
      const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
      // One write takes less than 2 GB.
      for (let at = 0; at < bytes.length; at += 2 ** 28) writeSync(data, bytes.subarray(at, at + 2 ** 28));
      const place = { location: basename(dataPath), offset: String(written), length: String(bytes.length) };
      initializers.push(
        message(
          ...shape.map((n) => varint(1, n)),
          varint(2, FLOAT),
          text(8, name),
          ...Object.entries(place).map(([key, value]) =>
            bytesField(13, message(text(1, key), text(2, value))),
          ),
          varint(14, 1),
        ),
      );
      written += bytes.length;
      return name;
    },
    integers(values) {
      const name = fresh();
      const raw = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
      initializers.push(
        message(varint(1, values.length), varint(2, INT64), text(8, name), bytesField(9, raw)),
      );
      return name;
    },
    node(type, operands, attributes = {}) {
      const name = fresh();
      nodes.push(
        message(
          ...operands.map((operand) => text(1, operand)),
          text(2, name),
          text(3, `n_${name}`),
          text(4, type),
          ...Object.entries(attributes).map(([key, value]) => bytesField(5, attribute(key, value))),
        ),
      );
      return name;
    },
    /** Writes the model; `value` is its output, under the name given. */
    finish(value, name, shape) {
      nodes.push(message(text(1, value), text(2, name), text(3, 'n_out'), text(4, 'Identity')));
      closeSync(data);
      const body = message(
        ...nodes.map((node) => bytesField(1, node)),
        text(2, 'bench'),
        ...initializers.map((one) => bytesField(5, one)),
        ...inputs.map((one) => bytesField(11, one)),
        bytesField(12, valueInfo(name, shape)),
      );
      const opset = message(text(1, ''), varint(2, 17));
      writeFileSync(
        path,
        message(varint(1, 8), text(2, 'bench-peers'), bytesField(7, body), bytesField(8, opset)),
      );
    },
  };
  return graph;
}

function valueInfo(name, shape) {
  const sizes = message(...shape.map((n) => bytesField(1, varint(1, n))));
  const tensor = message(varint(1, FLOAT), bytesField(2, sizes));
  return message(text(1, name), bytesField(2, bytesField(1, tensor)));
}

/** Whole numbers and lists of them; floats as { float }. */
function attribute(name, value) {
  if (Array.isArray(value)) return message(text(1, name), ...value.map((n) => varint(8, n)), varint(20, 7));
  if (typeof value === 'object') {
    const bits = new Uint8Array(Float32Array.of(value.float).buffer);
    return message(text(1, name), Buffer.from([(2 << 3) | 5]), bits, varint(20, 1));
  }
  return message(text(1, name), varint(3, value), varint(20, 2));
}

const message = (...parts) => Buffer.concat(parts);
const key = (field, type) => varintBytes(BigInt(field * 8 + type));
const varint = (field, value) => message(key(field, 0), varintBytes(BigInt.asUintN(64, BigInt(value))));
const text = (field, value) => bytesField(field, Buffer.from(value));

function bytesField(field, bytes) {
  return message(key(field, 2), varintBytes(BigInt(bytes.length)), bytes);
}

function varintBytes(value) {
  const bytes = [];
  let rest = value;
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Buffer.from(bytes);
}
