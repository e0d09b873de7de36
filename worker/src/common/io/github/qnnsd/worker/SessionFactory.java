package io.github.qnnsd.worker;

import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtEpDevice;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtHardwareDevice.OrtHardwareDeviceType;
import ai.onnxruntime.OrtSession;
import java.io.File;
import java.io.IOException;
import java.util.Collections;
import java.util.HashMap;
import java.util.Map;

/** Makes ONNX Runtime sessions: all of a graph on the HTP unless the host says otherwise, or all of it on the CPU. */
final class SessionFactory {
    private static final String PROVIDER = "QNNExecutionProvider";
    private static final String PLUGIN = "plugin";
    private static final String BACKEND = "backend_path";
    private static final String THREADS = "threads";
    private static final String NO_FALLBACK = "session.disable_cpu_ep_fallback";
    private static final String DEFAULT_PLUGIN = "libonnxruntime_providers_qnn.so";

    private final OrtEnvironment environment;
    private final Platform platform;
    private String plugin;

    SessionFactory(OrtEnvironment environment, Platform platform) {
        this.environment = environment;
        this.platform = platform;
    }

    OrtSession open(OpenRequest wanted) throws RequestException {
        File file = locate(wanted.file);
        if (!file.isFile()) {
            throw missing(wanted.component, wanted.file);
        }
        try (OrtSession.SessionOptions options = new OrtSession.SessionOptions()) {
            Map<String, String> provider = new HashMap<String, String>(wanted.options);
            String library = provider.remove(PLUGIN);
            setThreads(options, provider.remove(THREADS));
            if (wanted.unit == Protocol.UNIT_HTP && !provider.containsKey(NO_FALLBACK)) {
                options.addConfigEntry(NO_FALLBACK, "1");
            }
            addEntries(options, provider);
            if (wanted.unit == Protocol.UNIT_HTP) {
                resolveBackend(provider);
                OrtEpDevice device = device(library == null ? DEFAULT_PLUGIN : library);
                options.addExecutionProvider(Collections.singletonList(device), provider);
            } else {
                refuseOptions(wanted.component, provider);
                // The CPU gets QDQ graphs. Newer optimizers round what such a graph doesn't round.
                options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.NO_OPT);
            }
            return environment.createSession(file.getPath(), options);
        } catch (OrtException error) {
            throw new RequestException(
                    Protocol.LOAD_FAILED, wanted.component + " can't be loaded", ErrorMessage.of(error));
        }
    }

    private static void refuseOptions(String component, Map<String, String> provider) throws RequestException {
        if (!provider.isEmpty()) {
            throw new RequestException(
                    Protocol.LOAD_FAILED,
                    component + " can't be loaded",
                    "The CPU has no option " + provider.keySet() + ".");
        }
    }

    private static RequestException missing(String what, String file) {
        return new RequestException(Protocol.NO_FILE, what + " can't be loaded", "There is no file " + file + ".");
    }

    private static void setThreads(OrtSession.SessionOptions options, String threads)
            throws OrtException, RequestException {
        if (threads == null) {
            return;
        }
        try {
            options.setIntraOpNumThreads(Integer.parseInt(threads));
        } catch (NumberFormatException error) {
            throw new RequestException(Protocol.LOAD_FAILED, "threads must be a number", threads);
        }
    }

    /** ONNX Runtime's own entries begin with session. or ep.; the rest is the provider's. */
    private static void addEntries(OrtSession.SessionOptions options, Map<String, String> provider)
            throws OrtException {
        for (String key : provider.keySet().toArray(new String[0])) {
            if (key.startsWith("session.") || key.startsWith("ep.")) {
                options.addConfigEntry(key, provider.remove(key));
            }
        }
    }

    /** A library beside the plugin is named in full: Android's linker looks for bare names in other places too. */
    private void resolveBackend(Map<String, String> provider) throws RequestException {
        String backend = provider.get(BACKEND);
        if (backend != null) {
            File file = locate(backend);
            if (!file.isFile()) {
                throw missing("The QNN backend", backend);
            }
            provider.put(BACKEND, file.getPath());
        }
    }

    private OrtEpDevice device(String library) throws OrtException, RequestException {
        register(library);
        OrtEpDevice found = null;
        for (OrtEpDevice device : environment.getEpDevices()) {
            if (!device.getEpName().equals(PROVIDER)) {
                continue;
            }
            // A phone lists the NPU; on a desk the emulator calls itself a CPU.
            if (found == null || device.getDevice().getType() == OrtHardwareDeviceType.NPU) {
                found = device;
            }
        }
        if (found == null) {
            throw new RequestException(
                    Protocol.LOAD_FAILED, "The QNN plugin offers no device", "Its library is " + library + ".");
        }
        return found;
    }

    private void register(String library) throws OrtException, RequestException {
        if (library.equals(plugin)) {
            return;
        }
        if (plugin != null) {
            throw new RequestException(
                    Protocol.LOAD_FAILED, "A second QNN plugin can't be loaded", plugin + " is loaded already.");
        }
        File file = locate(library);
        if (!file.isFile()) {
            throw missing("The QNN plugin", library);
        }
        environment.registerExecutionProviderLibrary(PROVIDER, file.getPath());
        plugin = library;
    }

    /** Android says that the working directory is /, whatever it is; the kernel knows. */
    private File locate(String path) throws RequestException {
        try {
            return path.startsWith("/")
                    ? new File(platform.locate(path))
                    : new File(new File("/proc/self/cwd").getCanonicalFile(), path);
        } catch (IOException error) {
            throw new RequestException(Protocol.NO_FILE, path + " can't be found", ErrorMessage.of(error));
        }
    }
}
