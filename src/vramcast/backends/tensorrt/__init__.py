"""TensorRT as a backend: the graph is fused as its builder fuses it, and its memory plan is drawn up anew.

Sources, by the names the files here use:

    catalog   docs.nvidia.com/deeplearning/tensorrt/latest/performance/fusion-catalog.html ("Layer Fusion Catalog", TensorRT 10 and 11)
    works     docs.nvidia.com/deeplearning/tensorrt/latest/architecture/how-trt-works.html ("How TensorRT Works", Memory)
    logs      what builders of TensorRT 8.2 to 10.12 wrote: the rows of `validation/measured/tensorrt_logs.csv`, lists of layers that running
              engines gave (`[GpuLayer]` of YOLO11n on TensorRT 8.2.0; profiles of YOLOv5n, YOLOv8n and YOLO26n on 8.5 to 10), and verbose builds
"""
