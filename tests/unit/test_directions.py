"""Which way a metric is better, by its name or by numbers."""

from __future__ import annotations

import pytest

from evolver.tasks.directions import by_name, by_numbers

SMALLER = """
    error errors err rmse RMSE mse mae nll loss perplexity regret distance energy violations cost
    time seconds latency memory size length mean_error max_abs_error val_loss validationLoss
    meanSquaredError meanAbsError test-error error_rate errorCount time_ms timeMs runtime
    p99_latency wall_time tour_length tourLength total_cost peak_memory code_size n_violations
    accuracy_loss score_error negative_log_likelihood neg_accuracy error2 rmse_2 L2_distance
    seconds_per_call msPerCall cost_per_item kl_divergence makespan operations
"""
LARGER = """
    score accuracy acc speedup combined_score error_reduction time_saved neg_mse negativeLoss r2 f1
    f1_score F1Score auc throughput operations_per_second items_per_s requestsPerSecond hits
    hit_rate win_rate profit reward mean_return success_rate log_likelihood logLikelihood recall@10
    correct_count coverage quality fitness score_time_score bestScore timeEfficiency
"""
NEITHER = "value x height width count ratio number 42 _ points result total mean flux größe"


@pytest.mark.parametrize("name", SMALLER.split())
def test_names_of_what_should_be_small(name):
    assert by_name(name) == "minimize"


@pytest.mark.parametrize("name", LARGER.split())
def test_names_of_what_should_be_large(name):
    assert by_name(name) == "maximize"


@pytest.mark.parametrize("name", NEITHER.split())
def test_names_that_say_nothing(name):
    assert by_name(name) is None


def test_numbers_are_better_than_those_of_a_bad_program():
    assert by_numbers(3.0, 1.0) == "maximize"
    assert by_numbers(-3.0, 1.0) == "minimize"
    assert by_numbers(1.0, 1.0) is None
