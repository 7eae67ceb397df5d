"""Train CLIP with open_clip_train on the image store's own tars: TRAINING_SETS -> CHECKPOINTS."""

from metaclip_dagster.training.exporting import describe_checkpoint, export_checkpoint
from metaclip_dagster.training.jobs import Online, SetFile, TrainingPlan
from metaclip_dagster.training.recipes import RECIPES, Recipe, change_recipe, describe_recipe, recipe_of
from metaclip_dagster.training.running import train
from metaclip_dagster.training.tokenizing import read_tokenizer, render_tokenizer
