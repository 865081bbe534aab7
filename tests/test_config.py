from __future__ import annotations

from pathlib import Path

import pytest

from pollama.config import SETTINGS, Config
from pollama.config.documentation import documentation
from pollama.errors import ConfigError
from pollama.types.cores import CpuPartition
from pollama.types.multigpu import ModelRule
from pollama.types.requests import FOREVER


def _load(home: Path, text: str | None = None, **environ: str) -> Config:
    file = None
    if text is not None:
        file = home / "settings.yaml"
        file.write_text(text)
    return Config.load({"HOME": str(home), **environ}, file)


def test_defaults(tmp_path: Path) -> None:
    config = _load(tmp_path)
    assert config.host.url == "http://127.0.0.1:11434"
    assert config.models == tmp_path / ".ollama" / "models"
    assert (config.keep_alive, config.load_timeout) == (300, 300)
    assert (config.num_parallel, config.flash_attention, config.go_template) == (None, None, None)


def test_environment_beats_file_and_overrides_beat_both(tmp_path: Path) -> None:
    text = "max_queue: 1\nnum_parallel: 1\ncontext_length: 1\n"
    environ = {"HOME": str(tmp_path), "OLLAMA_NUM_PARALLEL": "2", "OLLAMA_CONTEXT_LENGTH": "2"}
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    config = Config.load(environ, file, {"context_length": 3})
    assert (config.max_queue, config.num_parallel, config.context_length) == (1, 2, 3)


def test_the_file_in_the_home_directory_is_read(tmp_path: Path) -> None:
    (tmp_path / ".pollama").mkdir()
    (tmp_path / ".pollama" / "config.yaml").write_text("max_queue: 7")
    assert _load(tmp_path).max_queue == 7


def test_every_kind_of_value_in_a_file(tmp_path: Path) -> None:
    text = """
host: https://example.com
models_dir: /srv/models
keep_alive: 1h30m
load_timeout: 0
num_parallel: 4
origins: [http://a, http://b]
remotes: x.com,y.com
no_prune: true
flash_attention: false
debug: 2
"""
    config = _load(tmp_path, text)
    assert config.host.netloc == "example.com:443"
    assert config.models == Path("/srv/models")
    assert (config.keep_alive, config.load_timeout) == (5400, FOREVER)
    assert config.num_parallel == 4
    assert config.origins == ("http://a", "http://b")
    assert config.remotes == ("x.com", "y.com")
    assert (config.no_prune, config.flash_attention, config.log_level) == (True, False, -8)


@pytest.mark.parametrize("text", ["", "# nothing"])
def test_an_empty_file_sets_nothing(tmp_path: Path, text: str) -> None:
    assert _load(tmp_path, text) == _load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_queu: 1", "unknown setting 'max_queu'"),
        ("network: {proxy: x}", "unknown setting 'network.proxy'"),
        ("network: {}", "unknown setting 'network'"),
        ("max_queue: many", "max_queue must be of type unsigned integer, not 'many'"),
        ("max_queue: -1", "max_queue must be of type unsigned integer, not -1"),
        ("max_queue: true", "max_queue must be of type unsigned integer, not True"),
        ("no_prune: perhaps", "no_prune must be of type boolean, not 'perhaps'"),
        ("keep_alive: 1 day", "keep_alive must be of type duration, not '1 day'"),
        ("keep_alive: [1]", r"keep_alive must be of type duration, not \[1\]"),
        ("origins: [1]", r"origins must be of type comma separated list, not \[1\]"),
        ("models_dir: 7", "models_dir must be of type path, not 7"),
        ("devices: {cpu: 2}", "devices.cpu must be of type list of core sets, not 2"),
        ("devices: {gpu: []}", "unknown setting 'devices.gpu'"),
        ("devices: {cpu: [{cores: x}]}", r"devices.cpu\[0\].cores must be a list of cores such as 0-3,8, not 'x'"),
        ("multi_gpu: {strategy: fast}", r"multi_gpu.strategy must be of type strategy \(auto, data, .*\), not 'fast'"),
        ("multi_gpu: {data_parallel: {load_balancing: dice}}", "data_parallel.load_balancing must be of type load"),
        ("multi_gpu: {data_parallel: {replicas: -1}}", "replicas must be of type unsigned integer, not -1"),
        (
            "multi_gpu: {scheduling: {migration: {threshold: 2}}}",
            "threshold must be of type share above 0, up to 1, not 2",
        ),
        (
            "multi_gpu: {cross_vendor: {cuda_gpus: [0, -1]}}",
            r"cuda_gpus must be of type list of device numbers, not \[0",
        ),
        (
            "multi_gpu: {backends: {primary: tgi}}",
            "primary must be of type one of llama_cpp, vllm, exllamav2, not 'tgi'",
        ),
        ("devices: {memory: {x: much}}", "devices.memory.x must be a size such as 8GiB, not 'much'"),
        ("models: [1]", r"models must be of type mapping of models to rules, not \[1\]"),
        ("models: {llama3: 8}", "models.llama3 must be a mapping with strategy, replicas, .*, not 8"),
        ("models: {llama3: {replica: 2}}", "models.llama3: unknown key 'replica'"),
        ("models: {llama3: {replicas: 0}}", "models.llama3.replicas must be a whole number from 1 up, not 0"),
        ("models: {llama3: {strategy: best}}", "models.llama3.strategy must be one of auto, data, .*, not 'best'"),
        ("models: {llama3: {affinity: []}}", r"models.llama3.affinity must be a list of ids or names .*, not \[\]"),
        ("- max_queue", "must be a mapping of settings"),
        ("max_queue: [", "settings.yaml"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        _load(tmp_path, text)
    assert str(tmp_path / "settings.yaml") in str(caught.value)


def test_the_file_that_was_read_is_known(tmp_path: Path) -> None:
    config = _load(tmp_path, "devices: {cpu: [{cores: 0, memory: 2GiB}, {cores: 1-2}]}")
    assert config.file == tmp_path / "settings.yaml"
    assert config.cpu_partitions == (CpuPartition(cores=(0,), memory_bytes=2 << 30), CpuPartition(cores=(1, 2)))
    assert _load(tmp_path).file is None


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml"):
        Config.load({"HOME": str(tmp_path)}, tmp_path / "missing.yaml")


def test_several_devices_are_configured_by_file(tmp_path: Path) -> None:
    text = """
multi_gpu:
  enabled: true
  strategy: data_parallel
  data_parallel: {replicas: 2, load_balancing: round_robin}
"""
    config = _load(tmp_path, text)
    assert (config.multi_gpu, config.gpu_strategy) == (True, "data")
    assert (config.replicas, config.load_balancing) == (2, "round_robin")


PROMISED = """
multi_gpu:
  enabled: true
  strategy: "hybrid"
  backends: {primary: "vllm", fallback: "exllamav2", legacy: "llama_cpp"}
  tensor_parallel: {size: 4, communication: "nccl", split_strategy: "balanced"}
  pipeline_parallel: {size: 2, micro_batch_size: 1, overlap_communication: true}
  data_parallel: {replicas: 2, load_balancing: "round_robin"}
  cross_vendor: {enabled: true, cuda_gpus: [0, 1], rocm_gpus: [2, 3], intel_gpus: [4], coordination_overhead: 0.1}
  scheduling:
    algorithm: "performance_aware"
    metrics: ["latency", "throughput", "memory", "power"]
    migration: {enabled: true, threshold: 0.8, cooldown: 30}
  memory: {pooling: true, defragmentation: true, cross_gpu_sharing: true, kv_cache_distribution: "balanced"}
  monitoring: {enabled: true, metrics_collection: true, performance_profiling: true, auto_optimization: true}
"""


def test_every_promised_key_is_accepted(tmp_path: Path) -> None:
    config = _load(tmp_path, PROMISED)
    assert (config.gpu_strategy, config.tensor_size, config.pipeline_size, config.replicas) == ("hybrid", 4, 2, 2)
    assert (config.cuda_gpus, config.rocm_gpus, config.intel_gpus) == ((0, 1), (2, 3), (4,))
    assert (config.coordination_overhead, config.migration_threshold, config.migration_cooldown) == (0.1, 0.8, 30)
    assert config.sources["backend"] == "file"


def test_every_promised_variable_is_accepted(tmp_path: Path) -> None:
    config = _load(
        tmp_path,
        OLLAMA_TENSOR_PARALLEL_SIZE="2",
        OLLAMA_PIPELINE_PARALLEL_SIZE="3",
        OLLAMA_CUDA_GPUS="0, 1",
        OLLAMA_ROCM_GPUS="2",
        OLLAMA_INTEL_GPUS="4",
        OLLAMA_GPU_MEMORY_POOL="0",
        OLLAMA_KV_CACHE_DISTRIBUTION="balanced",
        OLLAMA_AUTO_MIGRATION="1",
        OLLAMA_BACKEND="vllm",
        OLLAMA_FALLBACK_BACKEND="llama_cpp",
    )
    assert (config.tensor_size, config.pipeline_size, config.auto_migration) == (2, 3, True)
    assert (config.cuda_gpus, config.rocm_gpus, config.intel_gpus) == ((0, 1), (2,), (4,))
    assert (config.memory_pooling, config.backend) == (False, "vllm")
    assert config.sources["cuda_gpus"] == "environment"


def test_rules_go_by_model(tmp_path: Path) -> None:
    config = _load(
        tmp_path,
        """
models:
  "llama3:70b": {strategy: pipeline_parallel, replicas: 1, affinity: ["cpu:0", "cpu:1"], num_ctx: 8192, slots: 4}
  llama3: {num_batch: 512, threads: 8, affinity: "cpu:0"}
devices: {memory: {"cpu:0": 2GiB}}
""",
    )
    assert config.rules == {
        "llama3:70b": ModelRule(strategy="pipeline", replicas=1, devices=("cpu:0", "cpu:1"), num_ctx=8192, slots=4),
        "llama3:latest": ModelRule(num_batch=512, threads=8, devices=("cpu:0",)),
    }
    assert config.device_limits == {"cpu:0": 2 << 30}


def test_several_devices_are_configured_by_environment(tmp_path: Path) -> None:
    config = _load(tmp_path, OLLAMA_MULTI_GPU="1", OLLAMA_GPU_STRATEGY="data")
    assert (config.multi_gpu, config.gpu_strategy) == (True, "data")


@pytest.mark.parametrize("name", ["OLLAMA_MAX_QUEUE", "OLLAMA_KEEP_ALIVE", "OLLAMA_GPU_STRATEGY"])
def test_a_wrong_variable_is_warned_about_and_ignored(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert _load(tmp_path, **{name: "often"}) == _load(tmp_path)
    assert f"{name}='often'" in caplog.text


@pytest.mark.parametrize(
    ("content", "variable", "source"),
    [
        (None, "", "none"),
        (None, "1", "env"),
        ('{"disable_ollama_cloud": true}', "", "config"),
        ('{"disable_ollama_cloud": true}', "1", "both"),
        ('{"disable_ollama_cloud": false}', "", "none"),
        ('{"disable_ollama_cloud": "yes"}', "", "none"),
        ("[1]", "", "none"),
        ("{", "", "none"),
    ],
)
def test_what_turns_the_cloud_off(tmp_path: Path, content: str | None, variable: str, source: str) -> None:
    (tmp_path / ".ollama").mkdir()
    if content is not None:
        (tmp_path / ".ollama" / "server.json").write_text(content)
    config = _load(tmp_path, OLLAMA_NO_CLOUD=variable)
    assert config.cloud_disabled_source == source
    assert config.cloud_disabled is (source != "none")


@pytest.mark.parametrize(
    ("environ", "editor"),
    [
        ({}, "vi"),
        ({"EDITOR": "ed"}, "ed"),
        ({"EDITOR": "ed", "VISUAL": "vim"}, "vim"),
        ({"EDITOR": "ed", "OLLAMA_EDITOR": " ", "VISUAL": "vim"}, "vim"),
        ({"EDITOR": "ed", "OLLAMA_EDITOR": "emacs"}, "emacs"),
    ],
)
def test_the_first_variable_that_is_set_counts(tmp_path: Path, environ: dict[str, str], editor: str) -> None:
    assert _load(tmp_path, **environ).editor == editor


def test_children_inherit_the_environment_as_it_is(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "LLAMA_ARG_THREADS": " 3 "}
    config = Config.load(environ)
    assert config.threads == 3
    assert config.environ == environ


def test_settings_are_declared_once() -> None:
    variables = [name for setting in SETTINGS for name in setting.variables]
    keys = [setting.key for setting in SETTINGS]
    assert len(set(variables)) == len(variables)
    assert len(set(keys)) == len(keys)
    assert all(setting.help for setting in SETTINGS)


def test_the_documentation_is_current() -> None:
    path = Path(__file__).parent.parent / "docs" / "configuration.md"
    assert path.read_text(encoding="utf-8") == documentation()
