"""What a run tells other programs that show metrics by round: TensorBoard and MLflow."""
