"""What a run sends to other programs that show metrics by round: TensorBoard and MLflow."""
