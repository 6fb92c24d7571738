"""Result files of other load generators."""
