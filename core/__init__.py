"""What everything stands on: errors, files, images, the sheet and its study. Imports nothing else of this project."""
