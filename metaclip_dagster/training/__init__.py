"""Train CLIP with open_clip_train on the image store's own tars: TRAINING_SETS -> CHECKPOINTS."""

from metaclip_dagster.training.exporting import describe_checkpoint, export_checkpoint
from metaclip_dagster.training.jobs import Online, SetFile, TrainingPlan
from metaclip_dagster.training.recipes import POOL, RECIPES, Recipe, change_recipe, describe_recipe, recipe_of
from metaclip_dagster.training.running import train
from metaclip_dagster.training.tokenizer_texts import balance_languages, draw_texts
from metaclip_dagster.training.tokenizer_training import check_vocab_size, split_texts, train_tokenizer
from metaclip_dagster.training.tokenizing import TextTokenizer, parse_tokenizer, read_tokenizer, render_tokenizer
