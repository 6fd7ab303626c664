"""The class's disk: a btrfs for homes and shared directories, with limits and earlier versions."""
