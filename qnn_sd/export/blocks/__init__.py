"""The blocks of Stable Diffusion's networks, each in the form that the HTP runs well."""
