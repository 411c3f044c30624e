"""What a finished night is taken out as: data packages, maps, sidecars of photographs, folders by label."""
