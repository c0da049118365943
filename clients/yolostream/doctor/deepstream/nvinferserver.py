"""Parses the configuration of DeepStream's nvinferserver, which is a protobuf message as text.

nvinferserver rejects a file with an unknown field, `true` for a number, or two members of a oneof.
With the schema below, protobuf's parser rejects the same files. The schema lacks three fields that
DeepStream 6.3 does not have (`disable_warmup`, `filter_out_class_ids`,
`secondary_reinfer_interval`), so accepted files work with DeepStream 6.3 to 9.1.
"""

from __future__ import annotations

from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.message import Message

_PACKAGE = "nvdsinferserver.config"

_ENUMS = {
    "MediaFormat": (
        *("MEDIA_FORMAT_NONE", "IMAGE_FORMAT_RGB", "IMAGE_FORMAT_BGR", "IMAGE_FORMAT_GRAY"),
    ),
    "TensorOrder": ("TENSOR_ORDER_NONE", "TENSOR_ORDER_LINEAR", "TENSOR_ORDER_NHWC"),
    "TensorDataType": (
        *("TENSOR_DT_NONE", "TENSOR_DT_FP32", "TENSOR_DT_FP16", "TENSOR_DT_INT8"),
        *("TENSOR_DT_INT16", "TENSOR_DT_INT32", "TENSOR_DT_UINT8", "TENSOR_DT_UINT16"),
        *("TENSOR_DT_UINT32", "TENSOR_DT_FP64", "TENSOR_DT_INT64", "TENSOR_DT_UINT64"),
        "TENSOR_DT_STRING",
    ),
    "FrameScalingHW": ("FRAME_SCALING_HW_DEFAULT", "FRAME_SCALING_HW_GPU", "FRAME_SCALING_HW_VIC"),
    "MemoryType": ("MEMORY_TYPE_DEFAULT", "MEMORY_TYPE_CPU", "MEMORY_TYPE_GPU"),
    "ProcessMode": (
        *("PROCESS_MODE_DEFAULT", "PROCESS_MODE_FULL_FRAME", "PROCESS_MODE_CLIP_OBJECTS"),
    ),
}

_MESSAGES = {
    "PluginControl": {
        "infer_config": "InferenceConfig",
        "input_control": "InputControl",
        "output_control": "OutputControl",
    },
    "InferenceConfig": {
        "unique_id": "uint32",
        "gpu_ids": "repeated int32",
        "max_batch_size": "uint32",
        "backend": "BackendParams",
        "preprocess": "PreProcessParams | preprocessing",
        "input_tensor_from_meta": "InputTensorFromMeta | preprocessing",
        "postprocess": "PostProcessParams",
        "custom_lib": "CustomLib",
        "extra": "ExtraControl",
        "lstm": "LstmParams",
        "clip_object_outside_roi": "bool",
    },
    "BackendParams": {
        "inputs": "repeated InputLayer",
        "outputs": "repeated OutputLayer",
        "trt_is": "TritonParams | infer_framework",
        "triton": "TritonParams | infer_framework",
        "output_mem_type": "MemoryType",
    },
    "InputLayer": {"name": "string", "dims": "repeated int32", "data_type": "TensorDataType"},
    "OutputLayer": {"name": "string", "max_buffer_bytes": "uint64"},
    "TritonParams": {
        "model_name": "string",
        "version": "int64",
        "class_params": "repeated TritonClassifyParams",
        "model_repo": "TritonModelRepo | server",
        "grpc": "TritonGrpcParams | server",
    },
    "TritonGrpcParams": {"url": "string", "enable_cuda_buffer_sharing": "bool"},
    "TritonModelRepo": {
        "root": "repeated string",
        "log_level": "uint32",
        "strict_model_config": "bool",
        "tf_gpu_memory_fraction": "float",
        "tf_disable_soft_placement": "bool",
        "min_compute_capacity": "float",
        "backend_dir": "string",
        "model_control_mode": "string",
        "cuda_device_memory": "repeated CudaDeviceMem",
        "pinned_memory_pool_byte_size": "uint64",
        "backend_configs": "repeated BackendConfig",
    },
    "BackendConfig": {"backend": "string", "setting": "string", "value": "string"},
    "CudaDeviceMem": {"device": "uint32", "memory_pool_byte_size": "uint64"},
    "PreProcessParams": {
        "network_format": "MediaFormat",
        "tensor_order": "TensorOrder",
        "tensor_name": "string",
        "maintain_aspect_ratio": "int32",
        "symmetric_padding": "int32",
        "frame_scaling_hw": "FrameScalingHW",
        "frame_scaling_filter": "uint32",
        "normalize": "ScaleNormalize",
    },
    "ScaleNormalize": {
        "scale_factor": "float",
        "channel_offsets": "repeated float",
        "mean_file": "string",
    },
    "InputTensorFromMeta": {"is_first_dim_batch": "bool"},
    "PostProcessParams": {
        "labelfile_path": "string",
        "detection": "DetectionParams | process_type",
        "classification": "ClassificationParams | process_type",
        "segmentation": "SegmentationParams | process_type",
        "other": "OtherNetworkParams | process_type",
        "trtis_classification": "TritonClassifyParams | process_type",
        "triton_classification": "TritonClassifyParams | process_type",
    },
    "DetectionParams": {
        "num_detected_classes": "int32",
        "per_class_params": "repeated PerClassParamsEntry",
        "custom_parse_bbox_func": "string",
        "nms": "Nms | clustering_policy",
        "dbscan": "DbScan | clustering_policy",
        "group_rectangle": "GroupRectangle | clustering_policy",
        "simple_cluster": "SimpleCluster | clustering_policy",
    },
    "PerClassParamsEntry": {"key": "int32", "value": "PerClassParams"},
    "PerClassParams": {"pre_threshold": "float"},
    "Nms": {"confidence_threshold": "float", "iou_threshold": "float", "topk": "int32"},
    "DbScan": {
        "pre_threshold": "float",
        "eps": "float",
        "min_boxes": "int32",
        "min_score": "float",
    },
    "GroupRectangle": {"confidence_threshold": "float", "group_threshold": "int32", "eps": "float"},
    "SimpleCluster": {"threshold": "float"},
    "ClassificationParams": {"threshold": "float", "custom_parse_classifier_func": "string"},
    "SegmentationParams": {
        "threshold": "float",
        "num_segmentation_classes": "int32",
        "custom_parse_segmentation_func": "string",
    },
    "OtherNetworkParams": {"type_name": "string"},
    "TritonClassifyParams": {"topk": "uint32", "threshold": "float", "tensor_name": "string"},
    "CustomLib": {"path": "string"},
    "ExtraControl": {
        "copy_input_to_host_buffers": "bool",
        "output_buffer_pool_size": "int32",
        # DeepStream's own spelling.
        "custom_process_funcion": "string",
    },
    "LstmParams": {"loops": "repeated LstmLoop"},
    "LstmLoop": {
        "input": "string",
        "output": "string",
        "init_const": "InitConst",
        "keep_output": "bool",
    },
    "InitConst": {"value": "float"},
    "InputControl": {
        "process_mode": "ProcessMode",
        "operate_on_gie_id": "int32",
        "operate_on_class_ids": "repeated int32",
        "interval": "uint32",
        "async_mode": "bool",
        "object_control": "InputObjectControl",
    },
    "InputObjectControl": {"bbox_filter": "BBoxFilter"},
    "BBoxFilter": {
        "min_width": "uint32",
        "min_height": "uint32",
        "max_width": "uint32",
        "max_height": "uint32",
    },
    "OutputControl": {
        "output_tensor_meta": "bool",
        "detect_control": "OutputDetectionControl",
        "classifier_type": "string",
    },
    "OutputDetectionControl": {
        "default_filter": "DetectClassFilter",
        "specific_class_filters": "repeated SpecificClassFiltersEntry",
    },
    "SpecificClassFiltersEntry": {"key": "uint32", "value": "DetectClassFilter"},
    "DetectClassFilter": {
        "bbox_filter": "BBoxFilter",
        "roi_top_offset": "uint32",
        "roi_bottom_offset": "uint32",
        "border_color": "Color",
        "bg_color": "Color",
    },
    "Color": {"r": "float", "g": "float", "b": "float", "a": "float"},
}
"""Message -> field -> `[repeated ]type[ | oneof]`. A map is written as its repeated entries."""


def read_inference_config(path: Path) -> Message:
    """Parse a `config_infer_*.txt`.

    Returns:
        The message `PluginControl`, with `infer_config`, `input_control` and `output_control`.

    Raises:
        text_format.ParseError: DeepStream would not start with this file. The message begins with
            line and column.
    """
    return text_format.Parse(path.read_text(encoding="utf-8"), _PLUGIN_CONTROL())


def _plugin_control() -> type[Message]:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_schema())
    message = pool.FindMessageTypeByName(f"{_PACKAGE}.PluginControl")
    kind: type[Message] = message_factory.GetMessageClass(message)
    return kind


def _schema() -> descriptor_pb2.FileDescriptorProto:
    schema = descriptor_pb2.FileDescriptorProto(
        name="nvinferserver.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, values in _ENUMS.items():
        enum = schema.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in _MESSAGES.items():
        message = schema.message_type.add(name=name)
        # The text format does not contain field numbers, so they are arbitrary.
        for number, (field, kind) in enumerate(fields.items(), 1):
            _add_field(message, field, number, kind)
    return schema


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    kind, _, oneof = kind.partition(" | ")
    *repeated, type_name = kind.split()
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if type_name in _MESSAGES:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{type_name}"
    elif type_name in _ENUMS:
        field.type, field.type_name = field.TYPE_ENUM, f".{_PACKAGE}.{type_name}"
    else:
        field.type = field.Type.Value(f"TYPE_{type_name.upper()}")
    if oneof:
        names = [declared.name for declared in message.oneof_decl]
        if oneof not in names:
            message.oneof_decl.add(name=oneof)
            names.append(oneof)
        field.oneof_index = names.index(oneof)


_PLUGIN_CONTROL = _plugin_control()
