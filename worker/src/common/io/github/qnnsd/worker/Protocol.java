package io.github.qnnsd.worker;

/** The numbers of protocol 2; docs/worker-protocol.md describes what they mean. */
final class Protocol {
    static final int VERSION = 2;

    /** Larger bodies are refused: the largest tensor of Stable Diffusion 1.5 at 512x512 has 3 MB. */
    static final long MAX_BODY_BYTES = 512L << 20;
    static final int MAX_STRING_BYTES = 4096;
    static final int MAX_RANK = 8;
    /** Inputs of a component, and likewise outputs. */
    static final int MAX_TENSORS = 64;
    static final int MAX_PASSES = 2;

    static final int HELLO = 1;
    static final int OPEN = 2;
    static final int PUT = 3;
    static final int RUN = 4;
    static final int GUIDED = 5;
    static final int CLOSE = 6;
    static final int DROP = 7;
    static final int STATUS = 8;
    static final int BYE = 9;
    static final int LEAVE = 10;
    static final int OK = 128;
    static final int ERROR = 129;

    /** After these three the worker ends. */
    static final int REFUSED_FRAME = 1;
    static final int REFUSED_TOKEN = 2;
    static final int REFUSED_VERSION = 3;
    /** After these it serves on. */
    static final int NO_FILE = 4;
    static final int LOAD_FAILED = 5;
    static final int NOT_OPEN = 6;
    static final int BAD_INPUT = 7;
    static final int RUN_FAILED = 8;
    static final int NO_MEMORY = 9;

    static final int UNIT_HTP = 1;
    static final int UNIT_CPU = 2;

    static final int FROM_FRAME = 0;
    static final int FROM_SLOT = 1;

    private Protocol() {}
}
