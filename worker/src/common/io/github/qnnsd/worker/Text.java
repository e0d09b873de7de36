package io.github.qnnsd.worker;

/** Errors as people read them. */
final class Text {
    private Text() {}

    static String of(Throwable error) {
        String message = error.getMessage();
        return message == null || message.isEmpty() ? error.getClass().getName() : message;
    }
}
