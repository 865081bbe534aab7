"""The settings of Ollama, under the names and with the defaults that its users know."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pollama.config.declare import setting
from pollama.config.kinds import ADDRESS, BOOL, KEEP_ALIVE, LOG_LEVEL, PATH, TEXT, TEXTS, TIMEOUT, UINT
from pollama.types.address import ServerAddress


@dataclass(frozen=True, kw_only=True)
class OllamaSettings:
    """Durations in seconds (FOREVER = no end), sizes in bytes unless stated."""

    host: ServerAddress = setting(
        ServerAddress(), "OLLAMA_HOST", ADDRESS, "IP Address for the ollama server (default 127.0.0.1:11434)"
    )
    models: Path = setting(
        Path(),
        "OLLAMA_MODELS",
        PATH,
        "The path to the models directory",
        key="models_dir",
        shown_default="~/.ollama/models",
    )
    keep_alive: float = setting(
        300.0,
        "OLLAMA_KEEP_ALIVE",
        KEEP_ALIVE,
        'The duration that models stay loaded in memory (default "5m")',
        shown_default="5m",
    )
    load_timeout: float = setting(
        300.0,
        "OLLAMA_LOAD_TIMEOUT",
        TIMEOUT,
        'How long to allow model loads to stall before giving up (default "5m")',
        shown_default="5m",
    )
    context_length: int = setting(
        0,
        "OLLAMA_CONTEXT_LENGTH",
        UINT,
        "Context length to use unless otherwise specified (default: 4k/32k/256k based on VRAM)",
        shown_default="by VRAM",
    )
    num_parallel: int | None = setting(
        None, "OLLAMA_NUM_PARALLEL", UINT, "Maximum number of parallel requests", shown_default="automatic"
    )
    max_loaded_models: int = setting(
        0, "OLLAMA_MAX_LOADED_MODELS", UINT, "Maximum number of loaded models per GPU", shown_default="automatic"
    )
    max_queue: int = setting(512, "OLLAMA_MAX_QUEUE", UINT, "Maximum number of queued requests")
    max_transfer_streams: int = setting(
        4,
        "OLLAMA_MAX_TRANSFER_STREAMS",
        UINT,
        "Maximum parallel transfer streams for safetensors model pulls/pushes (default 4)",
    )
    origins: tuple[str, ...] = setting((), "OLLAMA_ORIGINS", TEXTS, "A comma separated list of allowed origins")
    remotes: tuple[str, ...] = setting(
        ("ollama.com",), "OLLAMA_REMOTES", TEXTS, 'Allowed hosts for remote models (default "ollama.com")'
    )
    no_cloud: bool = setting(
        False, "OLLAMA_NO_CLOUD", BOOL, "Disable Ollama cloud features (remote inference and web search)"
    )
    cloud_base_url: str = setting(
        "", "OLLAMA_CLOUD_BASE_URL", TEXT, "Address of the cloud service, for development; loopback only"
    )
    auth: bool = setting(False, "OLLAMA_AUTH", BOOL, "Sign every request of the CLI to its server")
    no_prune: bool = setting(False, "OLLAMA_NOPRUNE", BOOL, "Do not prune model blobs on startup")
    no_history: bool = setting(False, "OLLAMA_NOHISTORY", BOOL, "Do not preserve readline history")
    editor: str = setting(
        "vi", "OLLAMA_EDITOR VISUAL EDITOR", TEXT, "Path to editor for interactive prompt editing (Ctrl+G)"
    )
    log_level: int = setting(
        0,
        "OLLAMA_DEBUG",
        LOG_LEVEL,
        "Show additional debug information (e.g. OLLAMA_DEBUG=1)",
        key="debug",
        shown_default="info",
    )
    debug_log_requests: bool = setting(
        False,
        "OLLAMA_DEBUG_LOG_REQUESTS",
        BOOL,
        "Log inference request bodies and replay curl commands to a temp directory",
    )
    go_template: bool | None = setting(
        None,
        "OLLAMA_GO_TEMPLATE",
        BOOL,
        "Enable Modelfile TEMPLATE based rendering when available",
        shown_default="the richer template",
    )
    flash_attention: bool | None = setting(
        None, "OLLAMA_FLASH_ATTENTION", BOOL, "Enabled flash attention", shown_default="by device"
    )
    kv_cache_type: str = setting(
        "", "OLLAMA_KV_CACHE_TYPE", TEXT, "Quantization type for the K/V cache (default: f16)", shown_default="f16"
    )
    gpu_overhead: int = setting(0, "OLLAMA_GPU_OVERHEAD", UINT, "Reserve a portion of VRAM per GPU (bytes)")
    sched_spread: bool = setting(False, "OLLAMA_SCHED_SPREAD", BOOL, "Always schedule model across all GPUs")
    igpu_enable: bool | None = setting(
        None, "OLLAMA_IGPU_ENABLE", BOOL, "Enable integrated GPUs", shown_default="by kind"
    )
    vulkan: bool | None = setting(None, "OLLAMA_VULKAN", BOOL, "Enable Vulkan support", shown_default="true")
    llm_library: str = setting("", "OLLAMA_LLM_LIBRARY", TEXT, "Set LLM library to bypass autodetection")
    threads: int = setting(
        0,
        "LLAMA_ARG_THREADS",
        UINT,
        "Threads of a runner whose model and request do not state num_thread",
        shown_default="one per core",
    )
    fit: str = setting(
        "", "LLAMA_ARG_FIT", TEXT, 'Enable llama.cpp automatic fit of unset memory options (default "on")'
    )
    fit_target: str = setting(
        "", "LLAMA_ARG_FIT_TARGET", TEXT, "Target free VRAM margin per device for llama.cpp fit (MiB)"
    )
    cuda_visible_devices: str = setting("", "CUDA_VISIBLE_DEVICES", TEXT, "NVIDIA devices that may be used")
    hip_visible_devices: str = setting("", "HIP_VISIBLE_DEVICES", TEXT, "AMD devices that may be used, by index")
    rocr_visible_devices: str = setting(
        "", "ROCR_VISIBLE_DEVICES", TEXT, "AMD devices that may be used, by UUID or index"
    )
    vulkan_visible_devices: str = setting(
        "", "GGML_VK_VISIBLE_DEVICES", TEXT, "Vulkan devices that may be used, by index"
    )
    gpu_device_ordinal: str = setting("", "GPU_DEVICE_ORDINAL", TEXT, "AMD devices that may be used, by index")
    hsa_override: str = setting("", "HSA_OVERRIDE_GFX_VERSION", TEXT, "Override the gfx version of AMD GPUs")
    http_proxy: str = setting("", "HTTP_PROXY http_proxy", TEXT, "Proxy for http addresses")
    https_proxy: str = setting("", "HTTPS_PROXY https_proxy", TEXT, "Proxy for https addresses")
    no_proxy: str = setting("", "NO_PROXY no_proxy", TEXT, "Addresses that are reached without a proxy")
