"""The class's disk: homes and shared directories on a btrfs of their own, with limits and earlier versions."""
