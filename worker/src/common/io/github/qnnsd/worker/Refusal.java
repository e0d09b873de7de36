package io.github.qnnsd.worker;

/** A well-formed request that can't be done: the host gets the reason, the worker serves on. */
final class Refusal extends Exception {
    private static final long serialVersionUID = 1L;
    final int code;
    final String why;

    Refusal(int code, String what, String why) {
        super(what);
        this.code = code;
        this.why = why;
    }
}
