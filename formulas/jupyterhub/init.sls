include:
  - uv
  - jupyterhub.install
  - jupyterhub.config
  - jupyterhub.service
