package io.github.qnnsd.worker;

import ai.onnxruntime.OnnxJavaType;

/** Element types that travel. Both have four bytes. */
enum DType {
    FLOAT32(1, OnnxJavaType.FLOAT),
    INT32(2, OnnxJavaType.INT32);

    static final int BYTES = 4;
    private static final DType[] ALL = values();

    final int code;
    final OnnxJavaType type;

    DType(int code, OnnxJavaType type) {
        this.code = code;
        this.type = type;
    }

    static DType ofCode(int code) throws ProtocolException {
        for (DType dtype : ALL) {
            if (dtype.code == code) {
                return dtype;
            }
        }
        throw new ProtocolException("dtype " + code + " doesn't exist");
    }

    static DType of(OnnxJavaType type) throws RequestException {
        for (DType dtype : ALL) {
            if (dtype.type == type) {
                return dtype;
            }
        }
        throw new RequestException(
                Protocol.LOAD_FAILED,
                "A tensor of this type doesn't travel",
                "The graph has an input or output of " + type.name() + "; float32 and int32 are known.");
    }
}
